"""All streams of this process: one hub for each visibility, at most so many streams, and their end at a signal."""

import asyncio
import resource
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Any

from usp.api.auth import Reader
from usp.api.live import Hub, Subscriber
from usp.api.live_question import Question
from usp.api.problems import TooManyExports
from usp.models.dataset import Visibility

#: Streams at once in one process. Each keeps some 60 kB, most of it the server's own for its connection.
STREAMS = 4_000
#: Files left for everything else.
_FILES = 200


class TooManyStreams(TooManyExports):
    """As many streams are open as may be at once; come again later."""


class Streams:
    """The hubs, and how many streams there may be."""

    def __init__(self, readers: Mapping[Visibility, Reader]) -> None:
        self._hubs = {seen: Hub(reader) for seen, reader in readers.items()}
        self.limit = min(STREAMS, _files(STREAMS + _FILES) - _FILES)
        self.open = 0
        self.ending = False

    @asynccontextmanager
    async def listening(self, question: Question) -> AsyncIterator[tuple[Hub, Subscriber]]:
        """Somebody listens, as long as this lasts; refused where no further stream may be opened."""
        if self.ending or self.open >= self.limit:
            raise TooManyStreams
        hub = self._hubs[question.seen]
        self.open += 1
        try:
            subscriber = await hub.join(question)
            try:
                yield hub, subscriber
            finally:
                hub.leave(subscriber)
        finally:
            self.open -= 1

    def end(self) -> None:
        """Let all streams end, and no further one begin."""
        self.ending = True
        for hub in self._hubs.values():
            hub.end()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as the process serves: streams end as soon as it is told to end, and hold it up no longer."""
        loop = asyncio.get_running_loop()
        with at_signal(lambda: loop.call_soon_threadsafe(self.end)):
            yield
        self.end()
        for hub in self._hubs.values():
            await hub.close()


def _files(wanted: int) -> int:
    """Let this process have so many open files if it may; returns how many it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Programs that wait by select() need the low limit of old; this one does not.
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return wanted if soft == resource.RLIM_INFINITY else soft


@contextmanager
def at_signal(tell: Callable[[], Any]) -> Iterator[None]:
    """Be told of SIGINT and SIGTERM beside whoever handles them.

    uvicorn tells an application of its end only when all answers have ended; an endless one never would.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
