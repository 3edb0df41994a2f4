"""`dualcopy devices`: what this machine has, as URIs to copy into a bench file."""

from rig.cli.options import JsonOption
from rig.cli.output import print_json, print_table


def devices(as_json: JsonOption = False) -> None:
    """List serial ports, network interfaces and disks; nothing is opened."""
    from rig.bench.inventory import inventory

    found = inventory()
    if as_json:
        print_json([thing._asdict() for thing in found])
        return
    rows = [(thing.uri, "yes" if thing.usable else "no", thing.what) for thing in found]
    print_table(("uri", "usable", "what it is"), rows)
