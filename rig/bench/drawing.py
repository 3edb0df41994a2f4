"""A bench as text: who stands where, what joins them, and which way the copies go."""

from collections.abc import Iterator

from emulator.units import size_text
from rig.bench.bench import Bench
from rig.bench.checks import link_ends


def draw(bench: Bench) -> Iterator[str]:
    """Yield the lines of the drawing."""
    yield f"{bench.name}  ({bench.path})"
    for name in bench.sites:
        site = bench.site(name)
        yield ""
        yield f"site {name}: cache {size_text(site.cache_bytes)}"
        yield f"    nvs      {site.nvs}"
        yield f"    console  {site.console}"
        for device in site.devices.values():
            yield f"    {device.name}  {device.kind}  {device.disk}"
            yield from (f"        served at {uri}" for uri in device.serve)
        for unit in site.control_units.values():
            devices = ", ".join(unit.devices)
            yield f"    control unit {unit.name}: {unit.shape} of {devices}; {unit.paths} paths"
    for name, link in bench.file.link.items():
        first, second = link_ends(name, bench.sites) or ("?", "?")
        yield ""
        yield f"link {name}: NOT SEALED (lab_plaintext)"
        yield f"    {first}  {link.a}"
        yield f"    {second}  {link.b}"
        if link.capture:
            yield f"    captured in {link.capture}"
    for name, copy in bench.file.copies.items():
        yield ""
        yield f"copy {name}: {copy.source} ==> {copy.target}"
        yield f"    acknowledged at {copy.ack.value}; on link loss {copy.on_link_loss.value}"
        yield from (f"    {pair.source} ==> {pair.target}" for pair in copy.volumes)
