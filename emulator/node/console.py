"""The operator's verbs: one table from a request's verb to what is done.

A request is an object with a `verb`; the answer is `{"ok": true, "result": ...}` or says what is
wrong and with which exit code. Some verbs take time: they answer later, through the same call.
Leaves the socket to `operators.py`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.copy.group import Group
from emulator.copy.pair import Pair
from emulator.copy.services import ReadTracks, Step
from emulator.copy.states import Role
from emulator.errors import BenchError, DeviceError, DualCopyError, UnavailableError
from emulator.node.group_orders import change_role, freeze, run
from emulator.node.processor import Processor
from emulator.node.status import status_of
from emulator.wire.checksum import content_hash

Answer = Callable[[dict[str, Any]], None]
Listen = Callable[[], None]
Verb = Callable[[dict[str, Any], Answer], None]
LINE_BYTES_MAX: Final = 64 * 1024
# Tracks that an auditor may ask for at once: as much as one read of the disk.
AUDIT_TRACKS_MAX: Final = 256


class Console:
    """Carries out operators' requests."""

    def __init__(
        self,
        processor: Processor,
        extra_status: Callable[[dict[str, Any]], None],
        extra_verbs: Mapping[str, Verb] | None = None,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        """`report` writes down what has happened: an answer never speaks of what the log lacks."""
        self._processor = processor
        self._extra_status = extra_status
        self._report = report
        self._verbs: dict[str, Verb] = {
            **(extra_verbs or {}),
            "status": self._status,
            "role": self._role,
            "suspend": self._suspend,
            "resume": self._resume,
            "freeze": self._freeze,
            "run": self._run,
            "audit-tracks": self._audit_tracks,
            "battery": self._battery,
        }

    def request(self, line: bytes, tell: Answer, listen: Listen | None = None) -> None:
        """Carry out one request; `tell` is called once with the answer, now or later.

        `listen` makes whoever asks an auditor; without it there can be none.
        """

        def answer(said: dict[str, Any]) -> None:
            self._report()
            tell(said)

        try:
            words = json.loads(line)
            verb = words.get("verb") if isinstance(words, dict) else None
            if verb == "audit" and listen is not None:
                answer({"ok": True, "result": {"site": self._processor.config.name}})
                listen()
                return
            if not isinstance(verb, str) or verb not in self._verbs:
                known = ", ".join((*self._verbs, "audit"))
                raise BenchError(f"{line[:60]!r} is no request; verbs are {known}")
            self._verbs[verb](words, answer)
        except DualCopyError as error:
            answer({"ok": False, "error": str(error), "exit_code": error.exit_code})
        except (ValueError, RecursionError) as error:
            answer({"ok": False, "error": f"not JSON: {error}", "exit_code": BenchError.exit_code})

    def _status(self, _words: dict[str, Any], answer: Answer) -> None:
        status = status_of(self._processor)
        self._extra_status(status)
        answer({"ok": True, "result": status})

    def _pair(self, words: dict[str, Any]) -> Pair:
        name = words.get("group")
        pair = self._processor.pairs.get(name) if isinstance(name, str) else None
        if pair is None:
            known = ", ".join(self._processor.pairs) or "none"
            raise BenchError(f"no group {name!r} here; there are: {known}")
        return pair

    def _role(self, words: dict[str, Any], answer: Answer) -> None:
        pair = self._pair(words)
        primary = words.get("primary")

        def done(problem: str | None) -> None:
            if problem is None:
                answer({"ok": True, "result": {"group": pair.group.name, "primary": primary}})
            else:
                error = UnavailableError(problem)
                answer({"ok": False, "error": str(error), "exit_code": error.exit_code})

        change_role(self._processor, pair, primary, words.get("force"), done)

    def _suspend(self, words: dict[str, Any], answer: Answer) -> None:
        self._pair(words).suspend()
        answer({"ok": True, "result": {}})

    def _resume(self, words: dict[str, Any], answer: Answer) -> None:
        self._pair(words).resume()
        answer({"ok": True, "result": {}})

    def _freeze(self, words: dict[str, Any], answer: Answer) -> None:
        answer({"ok": True, "result": {"csn": freeze(self._pair(words))}})

    def _battery(self, words: dict[str, Any], answer: Answer) -> None:
        guard = self._processor.guard
        state = words.get("state")
        if state not in ("failed", "restored"):
            raise BenchError(f"battery {state!r}: say failed or restored")
        if not guard.has_battery():
            nvs = self._processor.config.nvs
            raise BenchError(f"{nvs}: this store has no battery; only sync=battery counts on one")
        if state == "failed":
            guard.battery_failed("its battery has failed")
        else:
            guard.battery_restored()
        answer({"ok": True, "result": {"nvs": guard.state.value}})

    def _run(self, words: dict[str, Any], answer: Answer) -> None:
        answer({"ok": True, "result": {"csn": run(self._pair(words))}})

    def _audit_tracks(self, words: dict[str, Any], answer: Answer) -> None:
        group = self._pair(words).group
        volume, first, count = (words.get(key) for key in ("volume", "first", "count"))
        if (
            not (isinstance(volume, int) and isinstance(first, int) and isinstance(count, int))
            or not 0 <= volume < len(group.volumes)
            or not 0 <= first <= first + count <= group.volumes[volume].tracks
            or count > AUDIT_TRACKS_MAX
        ):
            raise BenchError(
                f"volume {volume!r}, first {first!r}, count {count!r}: name at most "
                f"{AUDIT_TRACKS_MAX} tracks that exist"
            )
        keys = [volume << TRACK_BITS | track for track in range(first, first + count)]
        self._processor.start(self._hash_tracks(group, keys, answer))

    def _hash_tracks(self, group: Group, keys: list[int], answer: Answer) -> Step:
        """Answer what tracks read as, and at which csn; both are of the same moment."""
        try:
            site_keys = [group.volumes[key >> TRACK_BITS].site_key(key) for key in keys]
            images = yield ReadTracks(site_keys)
        except DeviceError as error:
            answer({"ok": False, "error": str(error), "exit_code": error.exit_code})
            return
        primary = group.role is Role.PRIMARY
        result = {
            "volume": keys[0] >> TRACK_BITS if keys else 0,
            "first": keys[0] & TRACK_MASK if keys else 0,
            "csn": group.csn if primary else group.stream.acked.csn,
            "consistent": group.consistent,
            "hashes": [content_hash(images[key]) for key in site_keys],
        }
        answer({"ok": True, "result": result})
