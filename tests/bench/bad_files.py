"""What may be wrong with a bench file: what to replace in the good one, and what is told."""

BAD = {
    "misspelled key": (
        'cache = "64MiB"',
        'cachw = "64MiB"',
        '4: site.A.cachw: unknown key; did you mean "cache"? there are: cache, nvs, ',
    ),
    "unknown table": ("[copy.g0]", "[copiy.g0]", '32: copiy: unknown key; did you mean "copy"?'),
    "missing key": (
        'console = "unix:a.console"\n',
        "",
        '3: site.A.console: is missing; write for example console = "unix:///var/tmp/a.console"',
    ),
    "size": ('"64MiB"', '"64MB"', "4: site.A.cache = \"64MB\": '64MB' is not a size; write"),
    "small cache": ('"64MiB"', '"1KiB"', '4: site.A.cache = "1KiB": too small; give at least 1MiB'),
    "number": ('"64MiB"', "64", "4: site.A.cache = 64: write a size in quotes"),
    "text for a list": ('["vol0"]', '"vol0"', 'volumes = "vol0": write a list in square brackets'),
    "empty list": ('["vol0"]', "[]", "35: copy.g0.volumes = []: it must not be empty"),
    "text for a flag": ("plaintext = true", 'plaintext = "yes"', "write true or false"),
    "word": (
        '"remote-nvs"',
        '"remote-nvm"',
        '41: copy.g1.ack = "remote-nvm": did you mean "remote-nvs"?',
    ),
    "gathering": ('gather = "250ms"', 'gather = "250"', '43: copy.g1.gather = "250": '),
    "gathering too long": ('gather = "250ms"', 'gather = "2h"', "too long; give at most"),
    "name of a site": ("[site.B]", '[site."B b"]', '15: site."B b": a name has up to 32 letters'),
    "name too long": ("[copy.g0]", f"[copy.{'g' * 33}]", "a name has up to 32"),
    "partial copy": (
        'target = "log" }',
        'target = "log", extents = "0-9" }',
        "40: copy.g1.volumes.0.extents: copying part of a volume is not in this release",
    ),
    "secret": (
        "lab_plaintext = true",
        'secret = "file:///k"',
        "29: link.A-B.secret: sealed links are not in this release; remove it, say lab_plaintext",
    ),
    "plaintext": ("lab_plaintext = true\n", "", "26: link.A-B: packets are not sealed in this rel"),
    "plaintext leaves": (
        "peer=127.0.0.1:7002",
        "peer=10.0.0.2:7002",
        '27: link.A-B.a = "udp://127.0.0.1:7001?peer=10.0.0.2:7002": packets are not sealed',
    ),
    "line's key": ("?peer=127.0.0.1:7002", "?pear=127.0.0.1:7002", "did you mean peer?"),
    "line's kind": ("udp://127.0.0.1:7001", "utp://127.0.0.1:7001", "27: link.A-B.a: utp:"),
    "line's address": ("udp://127.0.0.1:7001", "udp://127.0.0.1", "is not HOST:PORT"),
    "name of a link": ("[link.A-B]", "[link.A-C]", "26: link.A-C: a link is called after its two"),
    "no link": ("[link.A-B]", "[link.B-B]", "32: copy.g0: no link joins A and B; add [link.A-B]"),
    "site of a copy": (
        'source = "A"',
        'source = "AA"',
        '33: copy.g0.source = "AA": no such site; did',
    ),
    "copy to itself": ('target = "B"', 'target = "A"', '34: copy.g0.target = "A": must be another'),
    "volume": (
        '["vol0"]',
        '["vol1"]',
        '35: copy.g0.volumes.0 = "vol1": site A has no such device; did',
    ),
    "volume twice": (
        '"log7", target = "log"',
        '"vol0", target = "log"',
        "vol0 of site B is in [copy.g0] already",
    ),
    "share of a cache": (
        'disk = "mem://1MiB"\n\n[site.B]',
        'disk = "mem://1MiB"\ncache_share = "0%"\n\n[site.B]',
        "14: site.A.device.log.cache_share = \"0%\": write a share in quotes, from '1%' to '100%'",
    ),
    "shares of more than a cache": (
        "[site.A.device.log]\n",
        'cache_share = "60%"\n[site.A.device.log]\ncache_share = "50%"\n',
        "with those before it, devices of site A have 110% of its cache; make it 100% at most",
    ),
    "CKD over NBD": (
        '"fba-512"',
        '"3390-3"',
        "hosts reach a 3390-3 by tracks, not as blocks",
    ),
    "copy of another kind": (
        '"fba-512"',
        '"3390-3"',
        "35: copy.g0.volumes.0: vol0 of site A is a 3390-3 and vol0 of site B a fba-512; both",
    ),
    "CKD on a disk of any size": (
        'kind = "fba-512"\ndisk = "mem://4MiB"',
        'kind = "3390-1"\ndisk = "mem://4MiB"',
        "21: site.B.device.vol0.disk: device vol0: its disk has 4194304 bytes, which are not who",
    ),
    "CKD on too large a disk": (
        'kind = "fba-512"\ndisk = "mem://4MiB"',
        'kind = "3390-1"\ndisk = "mem://935760KiB"',
        "its disk has 1114 cylinders, and a 3390-1 at most 1113; choose a larger model",
    ),
    "CKD kind": ('"fba-512"', '"3391"', 'kind = "3391": no such kind of device; did you mean "339'),
    "device of a control unit": (
        "[site.B]",
        '[site.A.control_unit.cu9]\nshape = "star"\ndevices = ["vol0", "vol1"]\n[site.B]',
        '17: site.A.control_unit.cu9.devices.1 = "vol1": the site has no such device; did',
    ),
    "device of two control units": (
        "[site.B]",
        (
            '[site.A.control_unit.c]\nshape = "star"\ndevices = ["vol0"]\n'
            '[site.A.control_unit.d]\nshape = "star"\ndevices = ["vol0"]\n[site.B]'
        ),
        "vol0 hangs on c already",
    ),
    "shape of a control unit": (
        "[site.B]",
        '[site.A.control_unit.c]\nshape = "circle"\ndevices = ["vol0"]\n[site.B]',
        'shape = "circle": there are: star, multipoint, daisy-chain, ring',
    ),
    "patience of a control unit": (
        "[site.B]",
        '[site.A.control_unit.c]\nshape = "ring"\ndevices = ["vol0"]\npatience = 5\n[site.B]',
        "patience = 5: write a time in quotes",
    ),
    "kind": ('"fba-512"', '"fba-520"', '8: site.A.device.vol0.kind = "fba-520": no such kind'),
    "disk's kind": ("raw:a0.img", "row:a0.img", "9: site.A.device.vol0.disk: row:"),
    "disk's size": (
        "mem://1MiB",
        "mem://1000B",
        "13: site.A.device.log.disk: mem://1000B: 1000 bytes",
    ),
    "disk twice": ("file:a.nvs", "file:./a0.img", "used twice; site.A.nvs has it already"),
    "port twice": (
        "127.0.0.1:10810",
        '0.0.0.0:7009/x", "nbd://127.0.0.1:7009',
        "TCP port 127.0.0.1:7009 is used twice; site.A.device.vol0.serve.1",
    ),
    "line's port twice": (
        "udp://127.0.0.1:7002",
        "udp://127.0.0.1:7001",
        "28: link.A-B.b: UDP port 127.0.0.1:7001 is used twice; link.A-B.a has it",
    ),
    "blocks for Hercules": (
        "nbd://127.0.0.1:10810/vol0",
        "shrd://127.0.0.1:3990/0A00",
        "10: site.A.device.vol0.serve.1: Hercules hosts share count-key-data devices, not a fba",
    ),
    "Hercules hosts at two addresses": (
        '"nbd://127.0.0.1:10810/vol0"]',
        '"shrd://127.0.0.1:3990/0A00", "shrd://127.0.0.1:3991/0A00"]',
        "10: site.A.device.vol0.serve.2: a device that Hercules hosts share is served at one shrd:",
    ),
    "Hercules and native hosts": (
        '"nbd://127.0.0.1:10810/vol0"]',
        '"shrd://127.0.0.1:3990/0A00", "native+pty:///?link=x.tty"]',
        "10: site.A.device.vol0.serve.2: a device that Hercules hosts share is served at one shrd:",
    ),
    "socket twice": ("unix:b.console", "unix:a0.sock", "18: site.B.console: "),
    "capture over a disk": ('"run.pcapng"', '"a0.img"', "30: link.A-B.capture: "),
    "front end": (
        "nbd://127.0.0.1:10810/vol0",
        "http://127.0.0.1:3990/0A00",
        "devices are not served by http:",
    ),
    "export twice": (
        '"nbd://127.0.0.1:10810/vol0"]',
        '"nbd://127.0.0.1:10810/x", "nbd://127.0.0.1:10810/x"]',
        "10: site.A.device.vol0.serve.2: TCP port 127.0.0.1:10810 serves a device called x already",
    ),
    "port of another site": (
        'disk = "mem://4MiB"',
        'disk = "mem://4MiB"\nserve = ["nbd://127.0.0.1:10810"]',
        "22: site.B.device.vol0.serve.0: TCP port 127.0.0.1:10810 is used twice; site.A.device.v",
    ),
    "front end's socket": ("?socket=a0.sock", "", "write nbd+unix:///NAME?socket=PATH"),
    "console": (
        "unix:a.console",
        "tcp://127.0.0.1:1",
        "6: site.A.console: tcp://127.0.0.1:1: write for",
    ),
    "socket's path": ("unix:a.console", f"unix:///{'p' * 120}", "a socket's may have 107"),
    "nvs sync": ("sync=battery", "sync=batteri", "did you mean battery?"),
    "nvs size": ("size=16MiB", "size=1MiB", "5: site.A.nvs: "),
    "nvs kind": ("file:///var/tmp/b.nvs", "mem://1MiB", "17: site.B.nvs: mem://1MiB: write for"),
    "no URI": ('"unix:a.console"', '"a.console"', "6: site.A.console: 'a.console' is not a URI"),
    "a table for text": (
        'kind = "fba-512"',
        "kind = {}",
        "8: site.A.device.vol0.kind = {}: write text",
    ),
}
