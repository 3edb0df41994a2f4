"""What hosts order of this product through Perform Subsystem Function, carried out on their group.

The same deeds as an operator's, with the same refusals (`group_orders.py`): a refused order ends in
unit check, and the reason stands in the log. An order that takes time is accepted when it has
begun; should it fail later, each host of the device is told by attention and a message.
"""

from collections.abc import Callable
from typing import Final

from emulator.channel.device import Device
from emulator.channel.orders import Answer, HostOrder, Order
from emulator.copy.pair import Pair
from emulator.copy.states import Role
from emulator.errors import DualCopyError, UnavailableError
from emulator.events import HostOrdered
from emulator.node.group_orders import change_role, freeze, run
from emulator.node.processor import Processor

MIGRATIONS: Final = (
    Order.START_MIGRATION,
    Order.FREEZE_MIGRATION,
    Order.DETACH_MIGRATION,
    Order.ABORT_MIGRATION,
)


class HostOrders:
    """The copy that one device is in, as hosts of the device have to do with it."""

    def __init__(self, processor: Processor, name: str, device: Device) -> None:
        self._processor = processor
        self._name = name
        self._device = device
        self._group = processor.volumes[name].group
        self._told = self._group.state
        device.orders = self.carry_out

    def frozen(self) -> bool:
        """Return whether the device's group holds its writes now."""
        return self._group.frozen

    def news(self) -> str:
        """Return, once, what hosts of the primary must be told of the copy; empty for nothing."""
        group = self._group
        if group.role is not Role.PRIMARY or group.state is self._told:
            return ""
        self._told = group.state
        reason = f": {group.reason}" if group.reason else ""
        return f"copy {group.name} is {group.state.value}{reason}"

    def carry_out(self, asked: HostOrder) -> Answer:
        """Carry out an order, or refuse it; either is in the log, but for queries that go well."""
        try:
            answer, reason = self._do(asked), ""
        except DualCopyError as error:
            answer, reason = Answer(accepted=False), str(error)
        word = asked.order.name.lower().replace("_", "-")
        if asked.order is not Order.QUERY_COPY_STATE or reason:
            self._processor.emit(
                HostOrdered(
                    self._name, word, asked.argument, accepted=answer.accepted, reason=reason
                )
            )
        return answer

    def _do(self, asked: HostOrder) -> Answer:
        if asked.order in MIGRATIONS:
            raise UnavailableError(
                f"device {self._name}: volumes are not moved to other devices here"
            )
        pair = self._processor.pairs.get(self._group.name)
        if pair is None:
            raise UnavailableError(f"device {self._name} is in no copy group")
        match asked.order:
            case Order.QUERY_COPY_STATE:
                return Answer(accepted=True, data=self._state())
            case Order.SWITCH_ROLE:
                self._switch(pair, asked.argument)
            case Order.FREEZE:
                freeze(pair)
            case Order.RUN:
                run(pair)
            case Order.SUSPEND:
                pair.suspend()
            case Order.RESUME:
                pair.resume()
        return Answer(accepted=True)

    def _switch(self, pair: Pair, primary: str) -> None:
        """Begin to change roles; raise what is wrong at once, tell hosts what goes wrong later."""
        problems: list[str] = []
        tell: Callable[[str], None] = problems.append

        def done(problem: str | None) -> None:
            if problem is not None:
                tell(problem)

        change_role(self._processor, pair, primary or self._peer(), None, done)
        if problems:
            raise UnavailableError(problems[0])
        tell = self._device.attention

    def _peer(self) -> str:
        return self._processor.config.groups[self._group.name].peer

    def _state(self) -> bytes:
        """Return the state of the copy as words that a program can take apart."""
        group = self._group
        applied_csn = group.stream.applied_csn if group.role is Role.PRIMARY else group.csn
        words = {
            "group": group.name,
            "site": self._processor.config.name,
            "peer": self._peer(),
            "role": group.role.value,
            "state": group.state.value,
            "frozen": "yes" if group.frozen else "no",
            "suspended": "yes" if group.suspended else "no",
            "csn": str(group.csn),
            "applied": str(applied_csn),
            "reason": group.reason,
        }
        return " ".join(f"{key}={value}" for key, value in words.items()).encode("ascii", "replace")
