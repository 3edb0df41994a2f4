"""A bench file with everything in it that a bench file may hold."""

GOOD = """\
name = "two-sites"

[site.A]
cache = "64MiB"
nvs = "file:a.nvs?size=16MiB&sync=battery"
console = "unix:a.console"
[site.A.device.vol0]
kind = "fba-512"
disk = "raw:a0.img"
serve = ["nbd+unix:///vol0?socket=a0.sock", "nbd://127.0.0.1:10810/vol0"]
[site.A.device.log]
kind = "fba-512"
disk = "mem://1MiB"

[site.B]
cache = "1MiB"
nvs = "file:///var/tmp/b.nvs"
console = "unix:b.console"
[site.B.device.vol0]
kind = "fba-512"
disk = "mem://4MiB"
[site.B.device.log7]
kind = "fba-512"
disk = "mem://1MiB"

[link.A-B]
a = "udp://127.0.0.1:7001?peer=127.0.0.1:7002"
b = "udp://127.0.0.1:7002?peer=127.0.0.1:7001"
lab_plaintext = true
capture = "run.pcapng"

[copy.g0]
source = "A"
target = "B"
volumes = ["vol0"]

[copy.g1]
source = "B"
target = "A"
volumes = [{ source = "log7", target = "log" }]
ack = "remote-nvs"
on_link_loss = "hold"
gather = "250ms"
secondary_reads = true

[site.A.control_unit.cu0]
shape = "ring"
devices = ["vol0", "log"]
"""
