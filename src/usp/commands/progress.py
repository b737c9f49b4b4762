"""How a replay tells people, and programs, how it goes."""

import time
from typing import Any

from usp.commands.console import err, out, say
from usp.models.rejection import Progress


class ReplayTold:
    """Tells how a replay goes: a bar for people, a line now and then for programs, and a summary."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.resolved_before = 0
        self._last: Progress | None = None
        self._written_at = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> None:
        if out.is_terminal:
            from rich import progress as rich

            columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TextColumn("{task.description}"))
            self._bar = rich.Progress(*columns, rich.TimeRemainingColumn(), console=out)
            self._bar.start()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, progress: Progress) -> None:
        """Tell how far it has come."""
        self._last = progress
        text = f"{progress.resolved:,} resolved, {sum(progress.refused.values()):,} refused"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(text, total=progress.chosen)
            self._bar.update(self._task, completed=progress.taken, description=text)
        elif progress.taken < progress.chosen and time.monotonic() - self._written_at >= 1:
            self._written_at = time.monotonic()
            say(f"{progress.taken:,} of {progress.chosen:,}: {text}.")

    def interrupted(self) -> None:
        """Tell what the interruption has left."""
        if self._last is None or self.dry_run:
            err.print("Interrupted; nothing has been written.")
            return
        err.print(
            f"Interrupted after {self._last.taken:,} of {self._last.chosen:,}. What was taken is committed, and the "
            "same command goes on with the rest."
        )

    def end(self) -> None:
        """Tell what has become of them."""
        done = self._last
        if done is None:
            return
        if self.resolved_before:
            say(f"{self.resolved_before:,} had been resolved before.")
        if done.without_bytes:
            say(
                f"{done.without_bytes:,} match, but were too large to be kept: only length and digest are there, and "
                "nothing can be taken up."
            )
        if not done.chosen:
            say("Nothing that can be taken up waits.")
            return
        became = ("would be resolved", "would still be refused") if self.dry_run else ("resolved", "still refused")
        refused = sum(done.refused.values())
        most = sorted(done.refused.items(), key=lambda pair: (-pair[1], pair[0]))
        why = ", ".join(f"{reason} {count:,}" for reason, count in most)
        listed = f" ({why})" if why else ""
        say(f"{done.chosen:,} chosen: {done.resolved:,} {became[0]}, {refused:,} {became[1]}{listed}.")
        if self.dry_run:
            say("Nothing has been written.")
