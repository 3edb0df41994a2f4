"""What a command that has started other processes does when it is told to end."""

import signal


def interrupt_on_signals() -> None:
    """End as Python does at Ctrl-C, however told to: what was started is stopped first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
