"""The hub behind /v1/stream: looks what has changed, once for all who listen, and tells each what concerns him.

The cursor is PostgreSQL's own: a row's system column `xmin` is the transaction that wrote it. All that stand below the
first one that still runs have been seen, and what was written since is read again. Times, or numbers from a sequence,
would skip rows: transactions end in another order than they begin.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import structlog

from usp.api.auth import Reader
from usp.api.live_question import Mark, Question
from usp.api.live_registry import Registry, fingerprint, load
from usp.api.live_states import Feed, Position, position
from usp.db import Connection
from usp.errors import DatabaseUnavailable
from usp.models.datasets import DATASETS
from usp.models.query import Places

log = structlog.get_logger()

#: How often it is looked what has changed, while anybody listens.
POLL_S = 0.5
#: How often the registry is looked at.
REGISTRY_S = 2.0
#: How long one look may take, and how long after a failed one nobody tries again.
LOOK_S, PAUSE_S = 20.0, 1.0


class Selection:
    """The devices that some places mean today, shared by all who ask for the same; `ids` None is every device."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.ids: frozenset[int] | None = None
        #: The registry they were looked up in; none at first.
        self.registry = ""
        self.subscribers: set[Subscriber] = set()

    def has(self, device: int) -> bool:
        """Whether it means this device."""
        return self.ids is None or device in self.ids


class Subscriber:
    """One who listens. What he has still to hear is kept by device, so that only the newest is ever told."""

    def __init__(self, question: Question, selection: Selection) -> None:
        self.question = question
        self.selection = selection
        self.chosen = dict(question.shown)
        self.pending: dict[str, set[int]] = {name: set() for name, _ in question.shown}
        self.wake = asyncio.Event()
        self.ended = False

    def hear(self, dataset: str, keys: Iterable[int]) -> None:
        """There is news of these devices; it is told when he is woken."""
        self.pending[dataset].update(keys)

    def end(self) -> None:
        """Nothing more is told."""
        self.ended = True
        self.wake.set()


class Hub:
    """What all subscribers of one visibility hear, read by one task that runs while there are any."""

    def __init__(self, reader: Reader) -> None:
        self._seen = reader.visibility
        # Its own: whoever asks slow questions makes nobody here wait.
        self._database = reader.database.apart("stream")
        self.registry = Registry({}, frozenset())
        self.feeds: dict[str, Feed] = {}
        #: All that was written before it has been told to everybody, or waits for him.
        self.mark = Mark()
        # Devices that are gone are told by the names they had.
        self._names: dict[int, str] = {}
        # Woken only when the mark has moved on, so that what they are told next has it.
        self._to_wake: set[Subscriber] = set()
        self._selections: dict[Places, Selection] = {}
        self._listeners: Counter[str] = Counter()
        self._waiting: list[asyncio.Future[None]] = []
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._torn = True
        self._snapshot = ""
        # Devices that are others, elsewhere or gone, until a look has told everybody.
        self._moved: set[int] = set()
        #: When the registry was last looked at; 0 to look at it next time.
        self._looked_at = 0.0

    async def join(self, question: Question) -> Subscriber:
        """Listen from now on; returns when all is known that was committed before."""
        selection = self._selections.setdefault(question.places, Selection(question.places))
        subscriber = Subscriber(question, selection)
        selection.subscribers.add(subscriber)
        self._listeners.update(subscriber.pending.keys())
        for name in subscriber.pending.keys() - self.feeds.keys():
            self.feeds[name] = Feed(DATASETS[name], self._seen)
        self._looked_at = 0  # who comes now is told of no device that was hidden a moment ago
        looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(looked)
        self._asked.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"stream-{self._seen}")
        try:
            await looked
            self.registry.check(question.places)
        except BaseException:
            self.leave(subscriber)
            raise
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Listen no longer; what nobody listens to is kept no longer."""
        selection = subscriber.selection
        selection.subscribers.discard(subscriber)
        self._to_wake.discard(subscriber)
        if not selection.subscribers:
            del self._selections[selection.places]
        self._listeners.subtract(subscriber.pending.keys())
        for name in subscriber.pending:
            if not self._listeners[name]:
                del self.feeds[name]

    def told(self, dataset: str, key: int, subscriber: Subscriber) -> tuple[bool, bytes | None]:
        """Whether a device is there for a subscriber, and its values as he asked for them; None where he has none."""
        feed, device = self.feeds[dataset], self.registry.devices.get(key)
        if device is None or not device.serving or not subscriber.selection.has(key) or key not in feed.states:
            return False, None
        line = feed.line(key, device, subscriber.chosen[dataset])
        return line != b"", line

    def missed(self, dataset: str, xid: int, subscriber: Subscriber) -> set[int]:
        """The devices of which there is news for a subscriber since a transaction."""
        devices, written = self.registry.devices, self.feeds[dataset].written_since(xid)
        return {k for k in written if k in devices and devices[k].serving and subscriber.selection.has(k)}

    def name(self, key: int) -> str:
        """What a device is called, or was."""
        return self._names.get(key, "")

    def end(self) -> None:
        """End all streams."""
        for selection in self._selections.values():
            for subscriber in selection.subscribers:
                subscriber.end()

    async def close(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._database.close()

    async def _run(self) -> None:
        try:
            while self._selections:
                self._asked.clear()
                waiting, self._waiting = self._waiting, []
                error = await self._try()
                _settle(waiting, error)
                await self._pause(PAUSE_S if error else POLL_S)
        finally:
            _settle(self._waiting, DatabaseUnavailable())

    async def _try(self) -> Exception | None:
        """Look once; what was unsure when that failed is read anew by the next look: a crash may take numbers back."""
        try:
            async with self._database.connection() as connection, asyncio.timeout(LOOK_S):
                await self._look(connection)
        except Exception as error:
            if not self._torn or not isinstance(error, DatabaseUnavailable):
                log.warning("stream_interrupted", visibility=self._seen, exc_info=error)
            self._torn = True
            return error
        self._torn = False
        return None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def _look(self, connection: Connection) -> None:
        """Read what has changed, and tell those whom it concerns."""
        here = await position(connection)
        anew = self._torn or here.system != self.mark.system or here.xid < self.mark.xid
        registry = await self._look_at_registry(connection, anew=anew)
        for feed in [*self.feeds.values()]:
            changed = await self._read(connection, feed, here, anew=anew or registry != self.mark.registry)
            feed.forget(self._moved)
            if feed.since is not None:  # else those who wait for it are told all of it anyway
                self._tell(feed, changed | (self._moved & feed.states.keys()))
            feed.since = here.xid
        for selection in [*self._selections.values()]:
            if selection.registry != registry:
                self._choose(selection, registry)
                await asyncio.sleep(0)  # there may be thousands of them
        self._moved = set()
        self._snapshot = here.snapshot
        self.mark = Mark(here.system, registry, here.xid)
        woken, self._to_wake = self._to_wake, set()
        for subscriber in woken:
            subscriber.wake.set()

    async def _look_at_registry(self, connection: Connection, *, anew: bool) -> str:
        """The registry's fingerprint; where it is another, the devices are read."""
        if not anew and self._looked_at and time.monotonic() - self._looked_at < REGISTRY_S:
            return self.mark.registry
        self._looked_at = time.monotonic()
        registry = await fingerprint(connection)
        if registry != self.mark.registry or anew:
            before = self.registry.devices
            registry, self.registry = await load(connection)
            found = self.registry.devices
            self._moved |= {key for key in found.keys() | before.keys() if found.get(key) != before.get(key)}
            self._names.update({key: device.name for key, device in found.items()})
        return registry

    async def _read(self, connection: Connection, feed: Feed, here: Position, *, anew: bool) -> set[int]:
        if anew or feed.since is None:
            return await feed.load(connection)
        return set() if here.snapshot == self._snapshot else await feed.follow(connection)

    def _tell(self, feed: Feed, changed: set[int]) -> None:
        if not changed:
            return
        for selection in self._selections.values():
            keys = changed if selection.ids is None else changed & selection.ids
            for subscriber in selection.subscribers if keys else ():
                if feed.dataset.name in subscriber.pending:
                    subscriber.hear(feed.dataset.name, keys)
                    self._to_wake.add(subscriber)

    def _choose(self, selection: Selection, registry: str) -> None:
        """Look the devices up that a selection means now; who comes in or goes out is news."""
        places, before = selection.places, selection.ids
        if before is not None and not places.devices and selection.registry == self.mark.registry:
            # Only of those that are others now; a name may mean any number of children.
            others = (before & self._moved) ^ self.registry.fitting(places, self._moved)
            selection.ids = before ^ others if others else before
        else:
            selection.ids = self.registry.meant(places)
            others = (before or frozenset()) ^ (selection.ids or frozenset()) if selection.registry else frozenset()
        selection.registry = registry
        for subscriber in selection.subscribers if others else ():
            self._to_wake.add(subscriber)
            for name in subscriber.pending:
                subscriber.hear(name, self.feeds[name].states.keys() & others)


def _settle(waiting: list[asyncio.Future[None]], error: BaseException | None = None) -> None:
    for looked in waiting:
        if looked.done():
            continue
        if error is None:
            looked.set_result(None)
        else:
            looked.set_exception(error)
