"""A worker: reads, writes, acknowledges; survives the database and the broker; drains before it ends."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import structlog

from usp.errors import SettingsError
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import Codec, CodecRuntime
from usp.ingest.committer import Committer
from usp.ingest.housekeeping import Housekeeping, State, Teach, refresh
from usp.ingest.mqtt import MqttSource
from usp.ingest.packets import Received
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.retention import Horizon, Retirement
from usp.ingest.rollup import Rollup
from usp.ingest.session import NoSlot, Session
from usp.models.broker import Broker, MqttVersion, parse_brokers
from usp.models.profile import DeviceProfile
from usp.models.retention import Retention

log = structlog.get_logger()

#: Messages in one transaction: enough to make its fixed cost small, few enough to stay far below a second.
BATCH_MESSAGES = 5_000
#: Bytes of messages waiting uncommitted, above which the socket is left alone.
PAUSE_BYTES = 64 * 1024 * 1024
DRAIN_S = 5.0


def subscriptions(broker: Broker) -> list[str]:
    """The topic filters of the doors that stand open at a broker.

    Shared, each message goes to one of the workers (MQTT 5, 4.8.2), and what was retained before, which is no news, is
    not sent. Raises SettingsError for a door that there is not.
    """
    known = [bridge.door for bridge in BRIDGES]
    for door in broker.doors:
        if door not in known:
            raise SettingsError(f"{broker.name}: there is no door {door!r}; there are {', '.join(known)}.")
    topics = [t for bridge in BRIDGES if not broker.doors or bridge.door in broker.doors for t in bridge.subscriptions]
    return [f"$share/usp/{topic}" if broker.shared else topic for topic in topics]


class Worker:
    """One ingest process. Its slot gives it a stable MQTT client id, so that its session survives it."""

    def __init__(
        self,
        database_url: str,
        broker_url: str,
        profiles: Mapping[str, DeviceProfile],
        codecs: Mapping[str, Codec] = MappingProxyType({}),
        *,
        version: MqttVersion = MqttVersion.V5,
        teach: Teach | None = None,
        retention: Retention = MappingProxyType({}),
    ) -> None:
        """`teach` reads profiles and codecs again, when a device asks for one that is not known."""
        self._brokers = parse_brokers(broker_url)
        self._profiles = profiles
        self._version = version
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._registry = Registry(profiles, codecs)
        self._teach = teach
        self._codecs = CodecRuntime()
        self._horizon = Horizon(retention)
        self._pipeline = Pipeline(BRIDGES, self._registry, self._codecs, self._horizon)
        self._session = Session(database_url, self._arrived.set)
        self._committer = Committer(self._session, self._stopping)
        self._house = Housekeeping(database_url, self._registry, self._state, self._take_over, teach)
        self._rollup = Rollup(database_url, Retirement(database_url, self._horizon))
        self._own: list[MqttSource] = []
        self._sources: list[MqttSource] = []
        self._waiting: deque[Received] = deque()
        self._waiting_bytes = 0
        self._committing: Sequence[Received] = ()

    @property
    def in_flight(self) -> int:
        """Messages received and not yet committed."""
        return len(self._waiting) + len(self._committing)

    @property
    def connected(self) -> bool:
        """Whether every broker delivers to this worker now."""
        return bool(self._own) and all(source.connected for source in self._own)

    def stop(self) -> None:
        """Ask the worker to drain and end."""
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        """Work until `stop`; the death of any task ends the whole worker."""
        await self._begin()
        if self._session.slot is None:
            return
        structlog.contextvars.bind_contextvars(worker=self._session.slot)
        self._own = [self._source(broker, self._session.slot, subscriptions(broker)) for broker in self._brokers]
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(source.run(), name="mqtt") for source in self._own]
                others.append(tasks.create_task(self._house.run(), name="housekeeping"))
                others.append(tasks.create_task(self._rollup.run(), name="rollup"))
                committing = tasks.create_task(self._commit_for_ever(), name="writer")
                await self._stopping.wait()
                for source in self._sources:
                    source.pause()
                await asyncio.wait([committing], timeout=DRAIN_S)
                # What is still uncommitted was not acknowledged either: the broker keeps it.
                for task in (committing, *others):
                    task.cancel()
        finally:
            await asyncio.gather(*(source.close() for source in self._own))
            await self._codecs.close()
            await self._session.leave()

    async def _begin(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = await self._session.ready()
                await publish_profiles(connection, self._profiles)
                await refresh(connection, self._registry, self._teach)
                await self._horizon.read(connection)
            except NoSlot:
                raise
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                await self._committer.after_failure(error, 1.0)
            else:
                return

    def _source(self, broker: Broker, slot: int, topics: Sequence[str]) -> MqttSource:
        # Two accounts at one broker are two clients; a server for many applications wants that.
        several = sum((broker.host, broker.port) == (b.host, b.port) for b in self._brokers) > 1
        source = MqttSource(
            broker,
            client_id=f"usp-ingest-{slot}-{broker.user}" if several else f"usp-ingest-{slot}",
            subscriptions=topics,
            deliver=self._deliver,
            lost=self._forget,
            version=self._version,
        )
        self._sources.append(source)
        return source

    def _state(self) -> State:
        return State(self._session.slot or 0, self.in_flight, self.connected)

    async def _take_over(self, slot: int) -> None:
        """Empty the queues that brokers keep for a dead worker. Its sessions stay, without subscriptions."""
        log.warning("taking_over", slot=slot)
        await asyncio.gather(*(self._empty_queue(broker, slot) for broker in self._brokers if broker.shared))
        log.info("taken_over", slot=slot)

    async def _empty_queue(self, broker: Broker, slot: int) -> None:
        source = self._source(broker, slot, ())
        running = asyncio.create_task(source.run(), name=f"mqtt-{slot}")
        try:
            empty = False
            while not empty:
                await asyncio.sleep(0.2)
                heard = source.heard
                acknowledged = not self._holds(source)
                # The broker answers in order: had anything been left when it had read our last acknowledgement, it
                # would have come before the answer. Silence alone proves nothing.
                empty = await source.leave_group(subscriptions(broker)) and acknowledged and source.heard == heard
        finally:
            running.cancel()
            await source.close()
            self._sources.remove(source)

    def _unbroken_since(self, messages: Sequence[Received]) -> datetime | None:
        """Since when nothing can have been missed where these came from.

        Of QoS 0 a broker keeps nothing for a client that is away.
        """
        queued = all(message.mid for message in messages)
        came_by = {message.connection for message in messages}
        sources = [source for source in self._sources if source.connection in came_by]
        times = [source.unbroken_since if queued else source.connected_since for source in sources]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    def _holds(self, source: MqttSource) -> bool:
        held = (*self._waiting, *self._committing)
        return any(message.connection == source.connection for message in held)

    def _deliver(self, messages: list[Received]) -> None:
        self._waiting.extend(messages)
        self._waiting_bytes += sum(map(_cost, messages))
        self._arrived.set()
        if self._waiting_bytes > PAUSE_BYTES:
            for source in self._sources:
                source.pause()

    def _forget(self, connection: int) -> None:
        """Let go of what the broker will send again, so that a flapping connection cannot fill the memory."""
        self._waiting = deque(m for m in self._waiting if not m.mid or m.connection != connection)
        self._waiting_bytes = sum(map(_cost, self._waiting))

    async def _commit_for_ever(self) -> None:
        """Commit what has come while the last commit was under way; no timer, so an idle worker adds no delay."""
        while self._waiting or not self._stopping.is_set():
            await self._arrived.wait()
            self._arrived.clear()
            if not self._waiting:
                # Woken without a message: the connection has ended, and with it the lock on the slot.
                await self._committer.connect(lambda: not self._waiting)
            while self._waiting:
                count = min(BATCH_MESSAGES, len(self._waiting))
                messages = [self._waiting.popleft() for _ in range(count)]
                self._waiting_bytes -= sum(map(_cost, messages))
                self._committing = messages
                await self._commit(messages)
                self._committing = ()
                for source in self._sources:
                    # Last of all: had we died one line earlier, the broker would send these again, and they would be
                    # recognised as duplicates. Acknowledged before the commit, they would be lost.
                    source.acknowledge(messages)
                    if self._waiting_bytes < PAUSE_BYTES // 2 and not self._stopping.is_set():
                        source.resume()
                await asyncio.sleep(0)

    async def _commit(self, messages: Sequence[Received]) -> None:
        """Write the messages, in as many transactions as their items need."""
        while messages:
            batch, count = await self._pipeline.next_batch(messages)
            batch.unbroken_since = self._unbroken_since(messages[:count])
            await self._committer.commit(batch)
            messages = messages[count:]
            await asyncio.sleep(0)


def _cost(message: Received) -> int:
    """What a waiting message takes of the memory; an empty one is not free."""
    return len(message.payload) + len(message.topic) + 300
