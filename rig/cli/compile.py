"""`dualcopy compile`: make machine code of the sources, for twice the speed."""

from typing import Annotated

import typer


def compile_(
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the machine code away; the sources run again.")
    ] = False,
) -> None:
    """Make machine code of the product and the simulator; they then run about twice as fast.

    Takes some minutes, and nothing if it is done already. When a source changes afterwards, the
    sources run again until the next `dualcopy compile`; `dualcopy --version` says which do.
    """
    from rig.compiled.install import compile_sources, is_fresh
    from rig.compiled.install import remove as remove_all

    if remove:
        print(f"removed {remove_all()} files; the sources run")
    elif is_fresh():
        print("compiled already, from these very sources")
    else:
        compile_sources()
        print("compiled; the machine code runs from now on")
