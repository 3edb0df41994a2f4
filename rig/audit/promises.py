"""What hosts were told is complete, and what a site that comes back or takes over must have (A)."""

from emulator.copy.levels import AckLevel
from emulator.copy.states import PairState
from rig.audit.book import Pending
from rig.audit.findings import AuditViolation

_REMOTE = (AckLevel.REMOTE_NVS.value, AckLevel.REMOTE_APPLIED.value)


class Promises:
    """Up to where hosts of one group were answered, and at which level."""

    def __init__(self) -> None:
        self.ack = ""
        self.csn = 0
        self.duplex_csn = 0
        """Answered while the primary said that the copy has it too."""

    def answered(self, csn: int, state: str) -> None:
        """Note that hosts were told that everything up to `csn` is complete."""
        self.csn = max(self.csn, csn)
        if state == PairState.DUPLEX.value:
            self.duplex_csn = max(self.duplex_csn, csn)

    def forget(self) -> None:
        """Hold nobody to what was promised before now."""
        self.csn = self.duplex_csn = 0

    def hold_after_restart(
        self, site: str, csn: int, lost: Pending | None, names: list[str]
    ) -> None:
        """Raise unless a primary that was started again at `csn` has what was promised (A1)."""
        if csn >= self.csn or self.ack == AckLevel.VOLATILE.value:
            return
        volume, track = lost.place if lost else (0, None)
        raise AuditViolation(
            "A1",
            f"site {site} restarted at csn {csn}; hosts were told that everything up to csn "
            f"{self.csn} is complete",
            csn + 1,
            names[volume],
            track,
        )

    def hold_after_promotion(self, site: str, csn: int, newest_csn: int) -> str:
        """Raise unless a site may go on from `csn` (A-sync); return what was given up, in words."""
        if self.ack in _REMOTE and self.duplex_csn > csn:
            raise AuditViolation(
                "A-sync",
                f"site {site} was promoted at csn {csn}; hosts were told that csn "
                f"{self.duplex_csn} is complete, at ack {self.ack} while duplex",
                csn + 1,
            )
        answered = max(0, self.csn - csn)
        self.csn = min(self.csn, csn)
        self.duplex_csn = min(self.duplex_csn, csn)
        if newest_csn == csn:
            return ""
        return (
            f"{newest_csn - csn} changes after csn {csn} are given up, {answered} of them "
            f"answered; ack {self.ack} allows that"
        )
