"""Generators that wait: run them, and resume each when its request is answered."""

from collections.abc import Callable

from emulator.copy.services import Request, Step, Until
from emulator.errors import DeviceError

Ask = Callable[[Request, "Task"], None]


class Task:
    """One generator under way."""

    __slots__ = ("step",)

    def __init__(self, step: Step) -> None:
        self.step = step


class Tasks:
    """All generators under way; `ask` is called with every request but Until."""

    def __init__(self, ask: Ask, failed: Callable[[DeviceError], None]) -> None:
        self._ask = ask
        self._failed = failed
        self._waiting: list[tuple[Callable[[], bool], Task]] = []
        self.progress = 0
        """Counts resumptions, so that a caller sees whether a poll moved anything."""

    def start(self, step: Step) -> None:
        """Run a generator until it first waits."""
        self.resume(Task(step), None)

    def resume(self, task: Task, answer: object) -> None:
        """Give a generator the answer to its request."""
        self._go(task, lambda: task.step.send(answer))

    def fail(self, task: Task, error: DeviceError) -> None:
        """Tell a generator that its request failed."""
        self._go(task, lambda: task.step.throw(error))

    def _go(self, task: Task, run: Callable[[], Request]) -> None:
        self.progress += 1
        try:
            request = run()
            while isinstance(request, Until) and request.ready():
                request = task.step.send(None)
        except StopIteration:
            return
        except DeviceError as error:
            self._failed(error)
            return
        if isinstance(request, Until):
            self._waiting.append((request.ready, task))
        else:
            self._ask(request, task)

    def poll(self) -> None:
        """Resume every generator whose condition holds now."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            ready, task = entry
            if ready():
                self.resume(task, None)
            else:
                self._waiting.append(entry)

    def __len__(self) -> int:
        return len(self._waiting)
