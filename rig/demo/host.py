"""The demo's host, a process of its own: streams a file system in, then goes on writing blocks.

    python -m rig.demo.host URI JOURNAL --seed=1 --start=16777216 --length=4194304 [--image=FILE]

Each write is in the journal of `rig/host/write_journal.py`, before it is sent and when it was
acknowledged. When the site vanishes the host connects again, and first of all reads back every
write that was acknowledged. Says what it does as lines of JSON; SIGTERM ends it orderly.
"""

import argparse
import json
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from emulator.errors import CheckFailed, DeviceError, DualCopyError, UnavailableError
from emulator.frontend.nbd_protocol import Command
from rig.demo import plan
from rig.host.nbd_client import NbdClient, connect_nbd
from rig.host.workload import Stop, load, verify
from rig.host.write_journal import LoadPlan, WriteJournal

PIECE_BYTES = 64 * 1024
DEPTH = 16
RETRY_S = 0.05


class Host:
    """Writes to one volume until told to stop."""

    def __init__(self, uri: str, journal: Path, load_plan: LoadPlan) -> None:
        self._uri = uri
        self._journal = journal
        self._plan = load_plan
        self._stop = threading.Event()
        self._writes = 0

    def stop(self) -> None:
        """Come to an end after the writes that are under way."""
        self._stop.set()

    def run(self, image: Path | None, writes: int | None) -> None:
        """Stream the image in, then write blocks: so many, or until told to stop."""
        with closing(WriteJournal(self._journal, self._plan, append=True)) as journal:
            volume = self._connect()
            try:
                if image is not None:
                    self._stream(volume, image)
                while not self._stop.is_set() and (writes is None or self._writes < writes):
                    try:
                        self._write_some(volume, journal, writes)
                    except DeviceError:
                        raise  # the site is there and refuses: nothing to wait for
                    except UnavailableError as error:
                        volume.close()
                        volume = self._come_back(error)
            finally:
                volume.close()
        say("host-done", writes=self._writes)

    def _connect(self) -> NbdClient:
        return connect_nbd(self._uri, depth=DEPTH)

    def _stream(self, volume: NbdClient, image: Path) -> None:
        begun_ns = time.monotonic_ns()
        offset = 0
        with image.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                if any(piece):
                    volume.submit(Command.WRITE, offset, piece)
                else:
                    volume.submit(Command.WRITE_ZEROES, offset, length=len(piece))
                offset += len(piece)
        volume.drain()
        volume.flush()
        say("image-streamed", bytes=offset, elapsed_ns=time.monotonic_ns() - begun_ns)

    def _write_some(self, volume: NbdClient, journal: WriteJournal, writes: int | None) -> None:
        left = None if writes is None else writes - self._writes
        stop = Stop(left, plan.HOST_TURN_NS)
        self._writes += load(volume, self._plan, journal, stop, rate=plan.WRITES_PER_S).writes
        say("host-wrote", writes=self._writes)

    def _come_back(self, cause: UnavailableError) -> NbdClient:
        """Connect again when the site is there again, and see that it lost nothing."""
        gone_ns = time.monotonic_ns()
        say("host-cut-off", reason=str(cause))
        while True:
            try:
                volume = self._connect()
                break
            except UnavailableError:
                if time.monotonic_ns() - gone_ns > plan.PATIENCE_NS or self._stop.wait(RETRY_S):
                    raise
        away_ns = time.monotonic_ns() - gone_ns
        verdict = verify(volume, self._journal)
        say("host-back", away_ns=away_ns, **asdict(verdict))
        if verdict.wrong:
            volume.close()
            raise CheckFailed(f"{self._uri}: {verdict.wrong} blocks lost what was acknowledged")
        return volume


def say(event: str, **words: object) -> None:
    """Tell whoever started us, as one line of JSON."""
    line = json.dumps({"event": event, "time_ns": time.time_ns(), **words})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the host by its command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("uri")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--writes", type=int)
    words = parser.parse_args()
    load_plan = LoadPlan(
        seed=words.seed,
        size_bytes=words.length,
        block_bytes=plan.BLOCK_BYTES,
        change_bytes=plan.CHANGE_BYTES,
        start_bytes=words.start,
    )
    host = Host(words.uri, words.journal, load_plan)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: host.stop())
    try:
        host.run(words.image, words.writes)
    except DualCopyError as error:
        sys.stderr.write(f"host: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
