"""`dualcopy audit` beside two real sites: right under load and kills, and not to be fooled."""

import json
import subprocess
import sys

import pytest

from tests.system.load import Load
from tests.system.sites import ROOT, until


class Audit:
    """The auditor's process."""

    def __init__(self, bench, folder, *more):
        self.out = folder / "audit.out"
        command = [sys.executable, "-m", "rig.cli", "audit", "--bench", str(bench.path), "--json"]
        with self.out.open("wb") as out, (folder / "audit.err").open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, *more], cwd=ROOT, stdout=out, stderr=errors, start_new_session=True
            )
        self.errors = folder / "audit.err"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def findings(self, kind=None):
        lines = self.out.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [one for one in found if kind in (None, one["finding"])]

    def await_epochs(self, count, **wanted):
        """Wait for more epochs that were right."""
        had = len(self.findings("prefix-ok"))

        def there():
            assert self.process.poll() is None, self.errors.read_text()
            found = self.findings("prefix-ok")[had:]
            return len([e for e in found if wanted.items() <= e.items()]) >= count

        until(there, f"{count} epochs judged", 60)

    def end(self):
        """Stop it in an orderly way; return its exit code and its sums."""
        self.process.terminate()
        code = self.process.wait(60)
        return code, self.findings("summary")[-1], self.errors.read_text()


@pytest.mark.parametrize("block_bytes", [4096, 6656])
def test_every_epoch_is_right_whatever_is_killed(two_sites, tmp_path, block_bytes):
    bench = two_sites(size_bytes=8 << 20)
    bench.start()
    bench.wait("duplex")
    journal = tmp_path / "writes"
    with Load(bench.a, journal, block_bytes=block_bytes, rate=1500) as load:
        load.await_acknowledged(50)
        with Audit(bench, tmp_path, "--writes", f"vol0={journal}") as audit:
            audit.await_epochs(20)
            for name in "ABA":
                bench.sites[name].kill()
                bench.start(name)
                load.await_acknowledged(100)
                audit.await_epochs(5)
            code, summary, errors = audit.end()
    assert code == 0, errors
    assert summary["reconnections"] == 3
    assert summary["changes_not_heard"] == 0
    assert summary["host_writes"] > 100
    assert summary["scanned_tracks"] >= 2 * 2048
    bench.finish()


def test_a_swapped_record_is_named_by_csn_and_track(two_sites, tmp_path):
    bench = two_sites(size_bytes=8 << 20)
    bench.b.entry = "tests.system.swapping_site"
    bench.start(SWAP_AFTER="30", DUALCOPY_INTERPRETED="1")
    bench.wait("duplex")
    with (
        Load(bench.a, tmp_path / "writes", rate=2000) as load,
        Audit(bench, tmp_path) as audit,
    ):
        load.await_acknowledged(100)
        code = audit.process.wait(60)
    assert code == 1
    swapped = [int(word) for word in bench.b.log.read_text().split() if word.isdecimal()]
    (violation,) = audit.findings("violation")
    assert violation["rule"] == "O3"
    assert violation["track"] in swapped
    assert f"csn {violation['csn']}, track {violation['track']} of vol0" in audit.errors.read_text()
    # The sites themselves have noticed nothing: that is what an auditor is for.
    assert bench.a.group()["state"] == "duplex"


def test_the_history_goes_on_when_roles_are_exchanged(two_sites, tmp_path):
    bench = two_sites(size_bytes=8 << 20, ack="remote-nvs")
    bench.start()
    bench.wait("duplex")
    with Audit(bench, tmp_path) as audit:
        with Load(bench.a, tmp_path / "one", rate=1000):
            audit.await_epochs(10, site="B")
        bench.wait("identical")
        bench.a.order("role", primary="B")
        with Load(bench.b, tmp_path / "two", seed=2, rate=1000):
            audit.await_epochs(10, site="A")
        code, summary, errors = audit.end()
    assert code == 0, errors
    assert summary["epochs_not_judged"] == summary["changes_not_heard"] == 0


def test_an_audit_that_saw_nothing_does_not_say_ok(two_sites, tmp_path):
    bench = two_sites()
    with Audit(bench, tmp_path, "--for", "200ms") as audit:
        assert audit.process.wait(60) == 69
    assert "no site A and no site B" in audit.errors.read_text()
