"""What is compiled, and that what is not can live with it."""

import ast
import json
import os
import subprocess
import sys

import pytest

from emulator.compiled import ROOT, SWITCH
from rig.compiled import install
from rig.compiled.parts import LEFT_OUT, MORE, compiled, sources


def trees(names):
    return {name: ast.parse((ROOT / name).read_text()) for name in names}


def classes(tree: ast.AST) -> dict[str, set[str]]:
    """Name of each class -> the names of what it is made from."""
    return {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def imported(tree: ast.AST) -> dict[str, str]:
    """Name of each thing imported -> path of the module it is from."""
    return {
        name.asname or name.name: f"{node.module.replace('.', '/')}.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }


def test_every_reason_is_for_a_file_that_is_there():
    assert {*LEFT_OUT, *MORE} <= set(sources(ROOT))
    assert not set(LEFT_OUT) & set(MORE)


def test_no_class_outside_is_made_from_one_inside():
    inside = set(compiled(ROOT))
    outside = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rig").rglob("*.py")}
    outside = {*outside, *sources(ROOT)} - inside
    for path, tree in trees(sorted(outside)).items():
        origin = imported(tree)
        for name, bases in classes(tree).items():
            taken = {base for base in bases if origin.get(base) in inside}
            assert not taken, f"{path}: {name} is made from {taken}: add it to MORE"


def test_programs_are_not_compiled():
    """`python -m` wants the source of what it runs."""
    for path, tree in trees(compiled(ROOT)).items():
        assert "__main__" not in ast.dump(tree), f"{path}: leave it out"


EACH_ALONE = """
import os, sys
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        __import__(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be the first that is imported")
"""


@pytest.mark.needs("machine code")
def test_every_module_can_be_imported_first():
    """A field of a class imported for type checkers only would end the process."""
    names = [name.removesuffix(".py").replace("/", ".") for name in compiled(ROOT)]
    command = [sys.executable, "-c", EACH_ALONE, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


@pytest.mark.needs("machine code")
def test_machine_code_does_what_the_sources_do():
    """The same worlds, seed by seed, to the last event."""
    digests = []
    for environment in ({}, {SWITCH: "1"}):
        done = subprocess.run(
            [sys.executable, "-m", "rig.cli", "sim", "--seeds", "0:20", "--digest", "--json"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(json.loads(done.stdout)["digest"])
    assert digests[0] == digests[1]


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch, capsys):
    from rig.cli.main import main

    monkeypatch.setattr(install, "is_fresh", lambda: False)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert main(["compile"]) == 77
    assert "apt-get install gcc" in capsys.readouterr().err


def test_a_compiler_that_fails_leaves_everything_as_it_was(monkeypatch, capsys):
    from rig.cli.main import main

    before = {path: path.stat().st_mtime_ns for path in install.libraries()}
    monkeypatch.setattr(install, "is_fresh", lambda: False)
    monkeypatch.setattr(install, "BUILDER", "rig.no_such_module")
    assert main(["compile"]) == 69
    told = capsys.readouterr().err
    assert "No module named rig.no_such_module" in told
    assert {path: path.stat().st_mtime_ns for path in install.libraries()} == before


def test_code_is_put_and_taken_away_whole(monkeypatch, tmp_path):
    made, root = tmp_path / "made", tmp_path / "root"
    for name in ("emulator/a", "rig/sim/b", "dualcopy__mypyc"):
        path = made / f"{name}{install.SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"new")
    for folder in ("emulator", "rig/sim"):
        (root / folder).mkdir(parents=True)
    (root / "emulator" / f"old{install.SUFFIX}").write_bytes(b"old")
    monkeypatch.setattr(install, "ROOT", root)
    monkeypatch.setattr(install, "STAMP", root / "emulator" / "compiled.json")
    install.place(made, {"python": "this"})
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    libraries = {
        f"{name}{install.SUFFIX}" for name in ("emulator/a", "rig/sim/b", "dualcopy__mypyc")
    }
    assert found == {*libraries, "emulator/compiled.json"}
    assert install.remove() == 3
    assert not [path for path in root.rglob("*") if path.is_file()]
