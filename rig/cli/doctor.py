"""`dualcopy doctor`: what can run here, and the exact fix for each no."""

from rig.cli.options import JsonOption
from rig.cli.output import print_json, print_table


def doctor(as_json: JsonOption = False) -> None:
    """Try what this machine can do; nothing is changed."""
    from rig.bench.doctor import examine

    found = list(examine())
    if as_json:
        print_json([finding._asdict() for finding in found])
        return
    print_table(
        ("", "what", "for", "fix"),
        [
            ("yes" if row.can else "no", row.name, row.what, "" if row.can else row.fix)
            for row in found
        ],
    )
