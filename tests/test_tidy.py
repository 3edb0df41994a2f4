"""The repository keeps its own rules; and each rule is shown to catch what breaks it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests import tidy, tidy_tree
from tests.tidy import Purity, Source

ROOT = Path(__file__).resolve().parents[1]
SOURCES = tidy.python_sources(ROOT, "emulator", "rig", "tests")
PURITY = Purity.read(ROOT / "pyproject.toml")
DOCS = ROOT / "rig" / "docs"
LINE_OPENER = ROOT / "emulator" / "transport" / "opener.py"
DISK_OPENER = ROOT / "emulator" / "disk" / "opener.py"

# Files of 301 to 400 lines, and why each is better whole.
LONG_FILES: dict[str, str] = {
    "emulator/cache/tracks.py": "one directory: what is new, being written and being read",
    "emulator/copy/group.py": "one object owns a group's order, journal share and completion",
    "emulator/copy/pair.py": "the steps of a role change are read together (R1)",
    "emulator/copy/primary.py": "deciding, replaying, copying and overflow share one session",
    "emulator/copy/secondary.py": "from a record to its confirmation in one walk (O3, O7)",
    "emulator/copy/stream.py": "what is kept, closed, sent and confirmed is one queue",
    "emulator/frontend/nbd_requests.py": "requests taken and answered share what is under way",
    "emulator/link/link.py": "all that a shell asks of a link, and when it is due again",
    "emulator/node/destage.py": "writes, flushes and what refuses them share one book",
    "emulator/node/runtime.py": "one turn of the shell is read in one place",
    "emulator/node/processor.py": "one turn is read in one place",
    "emulator/node/volume.py": "reading, writing and zeroing share the edges of tracks",
    "emulator/transport/capture.py": "one writer: sharing, mending and stopping of one file",
    "emulator/transport/simulated.py": "a medium and its two ways, each useless alone",
    "rig/capture/layers.py": "the layers of one protocol, bound to one another",
    "rig/host/channel_machine.py": "all rules of path recovery, each of which leans on the others",
}


def none(complaints: Iterable[str]) -> None:
    found = list(complaints)
    assert not found, "\n".join(["", *found])


RULES: dict[str, Callable[[Source], Iterator[str]]] = {
    "constants": tidy.constants,
    "file_length": lambda source: tidy.file_length(source, LONG_FILES),
    "function_length": tidy.function_length,
    "module_docstring": tidy.module_docstring,
    "promises": tidy.promises,
    "slices": tidy.slices,
    "purity": lambda source: tidy.purity(source, PURITY),
    "units": tidy.units,
    "unwanted_words": tidy.unwanted_words,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_python_file_keeps_the_rule(rule):
    none(complaint for source in SOURCES for complaint in RULES[rule](source))


def test_other_texts_promise_nothing_and_use_our_words():
    paths = [
        # A linked work tree has a file for the folder .git; it is the machine's, not the project's.
        *(
            path
            for path in ROOT.iterdir()
            if path.is_file() and path.name != ".git" and path.suffix != ".so"
        ),
        *(path for folder in (DOCS, ROOT / ".ci") for path in folder.rglob("*") if path.is_file()),
        *(path for path in (ROOT / "firmware_stubs").rglob("*.[ch]")),
    ]
    texts = [
        Source(path.relative_to(ROOT).as_posix(), path.read_text())
        for path in sorted(paths)
        if "_build" not in path.parts and "__pycache__" not in path.parts
    ]
    none(complaint for text in texts for complaint in tidy.promises(text))
    none(complaint for text in texts for complaint in tidy.unwanted_words(text))


def test_no_reason_is_left_for_a_file_that_is_gone():
    none(f"{path}: gone" for path in LONG_FILES if not (ROOT / path).exists())


def test_pure_rooms_exist():
    places = [ROOT / name.replace(".", "/") for name in PURITY.rooms]
    none(f"{p}: missing" for p in places if not p.is_dir() and not p.with_suffix(".py").is_file())


@pytest.mark.parametrize(("opener", "page"), [(LINE_OPENER, "lines"), (DISK_OPENER, "disks")])
def test_every_scheme_has_a_section_in_the_reference(opener, page):
    none(tidy_tree.schemes_documented(opener, DOCS / "reference" / f"{page}.md"))


@pytest.mark.parametrize(("opener", "room"), [(LINE_OPENER, "transport"), (DISK_OPENER, "disk")])
def test_every_scheme_is_opened_by_a_test(opener, room):
    none(tidy_tree.schemes_tested(opener, [ROOT / "tests" / room, ROOT / "tests" / "contract"]))


def test_every_fixture_is_used():
    none(tidy_tree.fixtures_used(ROOT))


@pytest.mark.parametrize("page", ["README.md", "rig/docs/explanation/architecture.md"])
def test_every_room_is_on_the_folder_map(page):
    none(tidy_tree.rooms_mapped(ROOT, ROOT / page))


def test_decisions_are_complete():
    none(tidy_tree.adrs_listed(DOCS / "adr"))


# What each rule must catch, and what it must let pass.

BAD = {
    "constants": ["A_MAX = 1\n", "_A: int = 3\n"],
    "file_length": ["x = 1\n" * 401, "x = 1\n" * 301],
    "function_length": ["def f():\n" + "    g()\n" * 60],
    "module_docstring": ["", "x = 1\n"],
    "promises": ["x = 1  # TO" + "DO later\n", "# FIX" + "ME\n"],
    "purity": [
        "import os\n",
        "import os.path\n",
        "from time import monotonic_ns\n",
        "def f():\n    import random\n",
        "from . import store\n",
        "from emulator.nvs.store import Store\n",
        "from emulator.transport.udp import UdpLine\n",
        "x = hash('a')\n",
        "x = sorted(y, key=lambda o: id(o))\n",
        "for x in {1, 2}:\n    pass\n",
        "for x in set(y):\n    pass\n",
        "x = [y for y in frozenset(z)]\n",
        "x = list({1, 2})\n",
        "x: set[int] = set()\nfor y in x:\n    pass\n",
        "def f(x: frozenset[int]):\n    return [y for y in x]\n",
        "class C:\n    x: set[int]\n    def f(self):\n        for y in self.x:\n            pass\n",
        "class C:\n    def f(self):\n        self.x = set()\n        return tuple(self.x)\n",
        "x = set()\ny = x.pop()\n",
        "x = set()\nfor y in x - {1}:\n    pass\n",
    ],
    "slices": ["x = y[: f(y)]\n", "del x[: x.send(x)]\n", "x = y[(z := 1) :]\n"],
    "units": ["def f(timeout): ...\n", "def f(*, retry_delay: int = 3): ...\n"],
    "unwanted_words": ["x = 'the mas" + "ter'\n", "x = '/ro" + "ot/x'\n"],
}
GOOD = {
    "constants": ["A_MAX: Final = 1\n_A: Final[int] = f()\nBody = int | str\na = 1\nA, B = 1, 2\n"],
    "file_length": ["x = 1\n" * 300],
    "function_length": ["def f():\n" + "    g()\n" * 59],
    "module_docstring": ['"""What it is."""\n'],
    "promises": ["method = 'to do'\n"],
    "purity": [
        "import struct\nimport enum\n",
        "from emulator.errors import PeerError\nfrom emulator.node.config import AckLevel\n",
        "from emulator.nvs.journal import Journal\nfrom emulator.disk.base import Disk\n",
        "for x in sorted({1, 2}):\n    pass\n",
        "x: set[int] = set()\ny = sorted(z for z in x)\nlen(x)\n3 in x\n",
        "for x in {'a': 1}:\n    pass\n",
        "x = [1]\ny = x.pop()\n",
        "class C:\n    hash: int\n    def f(self, id):\n        return self.hash\n",
    ],
    "slices": ["x = y[: len(y) - max(1, z)]\n", "x = y[f(z)]\n"],
    "units": [
        "def f(timeout_ns, retry_delay_s, coverage, package): ...\n",
        "def f(timeout: str, age: Annotated[str, 3]): ...\n",
    ],
    "unwanted_words": ["x = 'primary, /tmp/x'\n"],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(rule, text) for rule, texts in table.items() for text in texts]


@pytest.mark.parametrize(("rule", "text"), cases(BAD))
def test_the_rule_catches(rule, text):
    assert list(RULES[rule](Source("emulator/copy/made_up.py", text)))


@pytest.mark.parametrize(("rule", "text"), cases(GOOD))
def test_the_rule_lets_pass(rule, text):
    none(RULES[rule](Source("emulator/copy/made_up.py", text)))


def test_every_rule_has_both_kinds_of_case():
    assert RULES.keys() == BAD.keys() == GOOD.keys()


def test_purity_speaks_of_pure_rooms_only():
    impure = "import os\nx = hash('a')\n"
    for path in ("emulator/nvs/store.py", "emulator/transport/udp.py", "rig/cli/main.py"):
        none(tidy.purity(Source(path, impure), PURITY))
    assert list(tidy.purity(Source("emulator/nvs/journal.py", impure), PURITY))


def test_a_reason_for_a_file_that_is_short_again_is_caught():
    assert list(tidy.file_length(Source("a.py", "x = 1\n"), {"a.py": "once long"}))
    none(tidy.file_length(Source("a.py", "x = 1\n" * 301), {"a.py": "one table"}))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small repository that keeps every rule of tidy_tree."""
    for name, text in {
        "emulator/disk/opener.py": "SCHEMES = {'mem': 'a:b', 'raw': 'c:d'}\n",
        "rig/docs/disks.md": "# Disks\n## Memory: `mem://`\n## Files: `raw:///PATH`\n",
        "rig/docs/adr/0001-a.md": "# A\n## Problem\n## Choice\n## Price\n",
        "tests/disk/test_a.py": "open_disk('mem://1MiB'); open_disk(\"raw:///x\")\nrun('a.bin')\n",
        "tests/test_b.py": "(FIXTURES / 'vectors').glob('*.json')\n",
        "fixtures/disks/a.bin": "",
        "fixtures/vectors/1.json": "",
        "README.md": "disk/ docs/\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def tree_complaints(tree: Path) -> list[str]:
    opener = tree / "emulator" / "disk" / "opener.py"
    return [
        *tidy_tree.schemes_documented(opener, tree / "rig" / "docs" / "disks.md"),
        *tidy_tree.schemes_tested(opener, [tree / "tests" / "disk"]),
        *tidy_tree.fixtures_used(tree),
        *tidy_tree.rooms_mapped(tree, tree / "README.md"),
        *tidy_tree.adrs_listed(tree / "rig" / "docs" / "adr"),
    ]


def test_a_tidy_tree_passes(tree):
    assert tree_complaints(tree) == []


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("rig/docs/disks.md", "# Disks\n## Memory: `mem://`\n`raw:`\n", "no section for `raw:`"),
        ("tests/disk/test_a.py", "open_disk('mem://1MiB'); 'a.bin'\n", "no test opens raw:"),
        ("emulator/disk/opener.py", "TABLE = {}\n", "no table SCHEMES"),
        ("fixtures/disks/b.bin", "", "nothing uses it"),
        ("emulator/copy/pair.py", "", "lacks emulator/copy/"),
        ("rig/docs/adr/0003-c.md", "## Problem\n## Choice\n## Price\n", "should be number 0002"),
        ("rig/docs/adr/0002-b.md", "## Problem\n## Choice\n", "no ## Price"),
    ],
)
def test_an_untidy_tree_is_caught(tree, path, text, complaint):
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    found = tree_complaints(tree)
    assert len(found) == 1
    assert complaint in found[0]
