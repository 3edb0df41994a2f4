"""Compile the sources in this folder into a new one; `python -m rig.compiled.build FOLDER`.

A process of its own, since mypyc ends the process that it fails in.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

from rig.compiled.parts import compiled

NAME = "dualcopy"
"""Of the one library that has all the machine code; each module has only a door to it."""


class _SideBySide(build_ext):
    """Compiles the files of one library on all processors; setuptools takes one at a time."""

    def build_extension(self, ext: Extension) -> None:
        def compile_one(source: str) -> list[str]:
            made: list[str] = self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=ext.include_dirs,
                extra_postargs=ext.extra_compile_args,
                depends=ext.depends,
            )
            return made

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(compile_one, ext.sources))
        ext.extra_objects = [name for names in found for name in names]
        ext.sources = []
        super().build_extension(ext)


def build(folder: Path) -> None:
    """Compile what lies in the current folder; the libraries go below `folder`."""
    options = ["--config-file=", "--ignore-missing-imports", f"--cache-dir={folder / 'mypy'}"]
    extensions = mypycify(
        [*options, *compiled(Path.cwd())],
        opt_level="2",
        debug_level="0",
        multi_file=True,
        target_dir=str(folder / "c"),
        group_name=NAME,
    )
    command = _SideBySide(Distribution({"name": NAME, "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
