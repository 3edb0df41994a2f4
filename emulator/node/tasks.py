"""Generators that wait: run them, and resume each when its request is answered."""

from collections.abc import Callable

from emulator.copy.services import Request, Step, Until
from emulator.errors import CorruptError, DeviceError

Ask = Callable[[Request, "Task"], None]
_Verb = Callable[[], Request]


class Task:
    """One generator under way."""

    __slots__ = ("answer", "running", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.running = False
        self.answer: _Verb | None = None


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

    def answer(self, task: Task, result: object) -> None:
        """Give a generator the answer to its request, or the error that it ended with."""
        if isinstance(result, DeviceError):
            self.fail(task, result)
        else:
            self.resume(task, result)

    def _go(self, task: Task, verb: _Verb) -> None:
        self.progress += 1
        task.answer = verb
        if task.running:
            # Answered while it was asked: the loop below goes on with it, so that a thousand
            # tracks that are cached do not nest a thousand calls.
            return
        task.running = True
        try:
            while task.answer is not None:
                run, task.answer = task.answer, None
                self._run(task, run)
        except StopIteration:
            return
        except CorruptError:
            # Not a refusal that passes: going on would lose data (W3), so it ends the site.
            raise
        except DeviceError as error:
            self._failed(error)
        finally:
            task.running = False

    def _run(self, task: Task, run: _Verb) -> None:
        request = run()
        while isinstance(request, Until):
            if not request.ready():
                self._waiting.append((request.ready, task))
                return
            request = task.step.send(None)
        self._ask(request, task)

    def poll(self) -> None:
        """Resume every generator whose condition holds now."""
        for ready, _task in self._waiting:
            if ready():
                break
        else:
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
