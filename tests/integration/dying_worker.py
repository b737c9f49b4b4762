"""`usp ingest` that kills itself with SIGKILL at a named step: dying_worker.py STEP CALLS NOTE.

It dies when the step is reached for the CALLS-th time, and writes into the file NOTE what it had in hand. Nothing of
the program knows of this: the methods in question are wrapped from outside.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from usp import cli
from usp.ingest import housekeeping
from usp.ingest.batch import Batch
from usp.ingest.mqtt import MqttSource
from usp.ingest.pipeline import Pipeline
from usp.ingest.worker import Worker
from usp.ingest.writer import Writer

_workers: list[Worker] = []


class _Death:
    """Comes with the so-manieth call."""

    def __init__(self, step: str, calls: int, note: Path) -> None:
        self._step, self._due, self._note = step, calls, note
        self._calls = itertools.count(1)

    def is_due(self) -> bool:
        """Count a call; whether it is the last one."""
        return next(self._calls) == self._due

    def come(self) -> None:
        """Say what was in hand, and die as from the kernel's hand."""
        self._note.write_text(json.dumps({"step": self._step, "in_flight": _workers[0].in_flight}))
        os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, act: Callable[[], None]) -> None:
    method = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        act()
        return method(*args, **options)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, act: Callable[[], None]) -> None:
    method = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        result = method(*args, **options)
        act()
        return result

    async def awaited(*args: Any, **options: Any) -> Any:
        result = await method(*args, **options)
        act()
        return result

    setattr(owner, name, awaited if asyncio.iscoroutinefunction(method) else wrapped)


def _while_draining(death: _Death) -> None:
    """SIGTERM first; then, with the drain under way, the end."""
    method = Writer.commit

    async def commit(*args: Any) -> Any:
        if death.is_due():
            os.kill(os.getpid(), signal.SIGTERM)
            while not _workers[0]._stopping.is_set():  # noqa: SLF001
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            await method(*args)
            death.come()
        return await method(*args)

    Writer.commit = commit  # type: ignore[assignment, method-assign]


def _while_isolating(death: _Death) -> None:
    """A batch is being taken apart because the database refuses something in it, and a part is committed."""
    method = Batch.split

    def split(batch: Batch) -> Iterator[Batch]:
        for part in method(batch):
            yield part
            if death.is_due():
                death.come()

    Batch.split = split  # type: ignore[assignment, method-assign]


def _while_taking_over(death: _Death) -> None:
    """With messages of the dead worker's queue in hand, between COMMIT and their acknowledgement."""
    vars(housekeeping)["DEAD_AFTER_S"] = 3.0

    def act() -> None:
        worker = _workers[0]
        taken = {source.connection for source in worker._sources[1:]}  # noqa: SLF001
        if any(message.connection in taken for message in worker._committing) and death.is_due():  # noqa: SLF001
            death.come()

    _after(Writer, "commit", act)


#: Where death comes: before or after which method.
STEPS: dict[str, tuple[Callable[[Any, str, Callable[[], None]], None], Any, str]] = {
    "received": (_after, Worker, "_deliver"),
    "normalising": (_before, Pipeline, "process"),
    "copied": (_after, asyncpg.Connection, "copy_records_to_table"),
    "before_commit": (_after, Writer, "_write_counts"),
    "committed": (_after, Writer, "commit"),
    "acknowledged": (_after, MqttSource, "acknowledge"),
}


def main() -> None:
    """Lay the trap, and be `usp ingest`."""
    step, calls, note = sys.argv[1:]
    death = _Death(step, int(calls), Path(note))

    def act() -> None:
        if death.is_due():
            death.come()

    made = Worker.__init__

    def remember(self: Worker, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        _workers.append(self)

    Worker.__init__ = remember  # type: ignore[method-assign]
    if step == "draining":
        _while_draining(death)
    elif step == "isolating":
        _while_isolating(death)
    elif step == "taking_over":
        _while_taking_over(death)
    else:
        wrap, owner, name = STEPS[step]
        wrap(owner, name, act)
    sys.argv[1:] = ["ingest"]
    cli.main()


if __name__ == "__main__":
    main()
