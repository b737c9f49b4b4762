"""How far a back-fill has come: a bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

#: Seconds between two plain lines.
LINE_EVERY = 5.0
#: Messages between two looks at the clock.
LOOK_EVERY = 200


class BackfillProgress:
    """Shows a back-fill that goes from `start` to `now`, and says when it is done."""

    def __init__(self, start: float, now: float) -> None:
        self._console = Console(stderr=True)
        self._start, self._now = start, now
        self._count = 0
        self._began = self._shown = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self.running = start < now

    def __enter__(self) -> Self:
        if self.running and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("Back-filling"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[count]:,} messages"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._now - self._start, count=0)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, highlight=False)

    def sent(self, at: float) -> None:
        """Take note of a message measured at `at`."""
        self._count += 1
        if self.running and self._count % LOOK_EVERY == 0:
            self._show(at)

    def caught_up(self) -> None:
        """Real time has been reached."""
        if self.running:
            self._stop()
            took = time.monotonic() - self._began
            self.say(f"Back-filled {self._count:,} messages in {took:.1f} s; real time from here on.")

    def _show(self, at: float) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=at - self._start, count=self._count)
        elif time.monotonic() - self._shown > LINE_EVERY:
            self._shown = time.monotonic()
            share = (at - self._start) / (self._now - self._start)
            self.say(f"Back-filling: {self._count:,} messages, {share:.0%}.")

    def _stop(self) -> None:
        self.running = False
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
