"""How a run is shown while it goes on: a line for each act and finding, and what is going on now.

On a terminal rich draws; elsewhere it is plain lines, each as soon as it is known.
"""

from types import TracebackType
from typing import Protocol, Self, TextIO


class Progress(Protocol):
    """What the play tells its audience."""

    def act(self, number: int, acts: int, title: str) -> None:
        """Begin an act."""

    def finding(self, text: str) -> None:
        """Tell something that was found out."""

    def now(self, text: str) -> None:
        """Tell how things stand at this moment."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PlainProgress:
    """Lines of text; the moment is left out."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def act(self, number: int, acts: int, title: str) -> None:
        """Begin an act."""
        self._line(f"{number}/{acts} {title}")

    def finding(self, text: str) -> None:
        """Tell something that was found out."""
        self._line(f"    {text}")

    def now(self, text: str) -> None:
        """Tell nothing: a file of moments helps nobody."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.flush()

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()


class TerminalProgress:
    """The acts as a list that grows, with what goes on in its last line."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=out, highlight=False, markup=False)
        self._status = self._console.status("")
        self._title = ""

    def act(self, number: int, acts: int, title: str) -> None:
        """Begin an act."""
        self._title = title
        self._console.print(f"{number}/{acts} {title}", style="bold")
        self._status.update(title)

    def finding(self, text: str) -> None:
        """Tell something that was found out."""
        self._console.print(f"    {text}", style="green")

    def now(self, text: str) -> None:
        """Tell how things stand at this moment."""
        self._status.update(text)

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()


def progress_on(out: TextIO) -> Progress:
    """Return what suits the place where the words go."""
    return TerminalProgress(out) if out.isatty() else PlainProgress(out)
