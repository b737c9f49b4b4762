"""A worker: reads, writes, acknowledges; survives the database and the broker; drains before it ends."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from usp.db import LOST, Verdict, verdict
from usp.errors import UspError
from usp.ingest.batch import Batch
from usp.ingest.bridges import BRIDGES
from usp.ingest.housekeeping import Housekeeping, State, refresh
from usp.ingest.mqtt import MqttSource
from usp.ingest.packets import Received
from usp.ingest.pipeline import Pipeline
from usp.ingest.refusal import Refusal
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.session import NoSlot, Session
from usp.models.profile import DeviceProfile
from usp.models.reasons import Reason
from usp.settings import MqttVersion

log = structlog.get_logger()

#: Messages in one transaction: enough to make its fixed cost small, few enough to stay far below a second.
BATCH_MESSAGES = 5_000
#: Bytes of messages waiting uncommitted, above which the socket is left alone.
PAUSE_BYTES = 64 * 1024 * 1024
COMMIT_TIMEOUT_S = 60.0
BACKOFF_S = (0.1, 5.0)
DRAIN_S = 5.0

#: Each message goes to one of the workers (MQTT 5, 4.8.2). What was retained before is no news, and is not sent.
SUBSCRIPTIONS = [f"$share/usp/{topic}" for bridge in BRIDGES for topic in bridge.subscriptions]


class Worker:
    """One ingest process. Its slot gives it a stable MQTT client id, so that its session survives it."""

    def __init__(
        self,
        database_url: str,
        broker_url: str,
        profiles: Mapping[str, DeviceProfile],
        *,
        version: MqttVersion = MqttVersion.V5,
    ) -> None:
        self._broker_url = broker_url
        self._profiles = profiles
        self._version = version
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._registry = Registry(profiles)
        self._pipeline = Pipeline(BRIDGES, self._registry)
        self._session = Session(database_url, self._arrived.set)
        self._house = Housekeeping(database_url, self._registry, self._state, self._take_over)
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
        """Whether the broker delivers to this worker now."""
        return bool(self._sources) and self._sources[0].connected

    def stop(self) -> None:
        """Ask the worker to drain and end."""
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        """Work until `stop`; the death of any task ends the whole worker."""
        await self._begin()
        if self._session.slot is None:
            return
        own = self._source(self._session.slot, SUBSCRIPTIONS)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(own.run(), name="mqtt"),
                    tasks.create_task(self._house.run(), name="housekeeping"),
                ]
                committing = tasks.create_task(self._commit_for_ever(), name="writer")
                await self._stopping.wait()
                for source in self._sources:
                    source.pause()
                await asyncio.wait([committing], timeout=DRAIN_S)
                # What is still uncommitted was not acknowledged either: the broker keeps it.
                for task in (committing, *others):
                    task.cancel()
        finally:
            await own.close()
            await self._session.leave()

    async def _begin(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = await self._session.ready()
                await publish_profiles(connection, self._profiles)
                await refresh(connection, self._registry)
            except NoSlot:
                raise
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                await self._after_failure(error, 1.0)
            else:
                return

    def _source(self, slot: int, subscriptions: Sequence[str]) -> MqttSource:
        source = MqttSource(
            self._broker_url,
            client_id=f"usp-ingest-{slot}",
            subscriptions=subscriptions,
            deliver=self._deliver,
            lost=self._forget,
            version=self._version,
        )
        self._sources.append(source)
        return source

    def _state(self) -> State:
        return State(self._session.slot or 0, self.in_flight, self.connected)

    async def _take_over(self, slot: int) -> None:
        """Empty the queue that the broker keeps for a dead worker. Its session stays, without subscriptions."""
        log.warning("taking_over", slot=slot)
        source = self._source(slot, ())
        running = asyncio.create_task(source.run(), name=f"mqtt-{slot}")
        try:
            empty = False
            while not empty:
                await asyncio.sleep(0.2)
                heard = source.heard
                acknowledged = not self._holds(source)
                # The broker answers in order: had anything been left when it had read our last acknowledgement, it
                # would have come before the answer. Silence alone proves nothing.
                empty = await source.leave_group(SUBSCRIPTIONS) and acknowledged and source.heard == heard
            log.info("taken_over", slot=slot)
        finally:
            running.cancel()
            await source.close()
            self._sources.remove(source)

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
                await self._keep_slot()
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

    async def _keep_slot(self) -> None:
        """Woken without a message: the connection has ended, and with it the lock on the slot."""
        wait = BACKOFF_S[0]
        while not self._waiting and not self._stopping.is_set():
            try:
                await self._session.ready()
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                await self._after_failure(error, wait)
                wait = min(wait * 2, BACKOFF_S[1])
            else:
                return

    async def _commit(self, messages: Sequence[Received]) -> None:
        """Write the messages, in as many transactions as their items need."""
        while messages:
            batch, count = self._pipeline.next_batch(messages)
            await self._commit_batch(batch)
            messages = messages[count:]
            await asyncio.sleep(0)

    async def _commit_batch(self, batch: Batch) -> None:
        """However long the database is away; what it can never take is isolated and rejected."""
        wait, unsure = BACKOFF_S[0], False
        while True:
            try:
                connection, writer = await self._session.ready()
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    if unsure and await writer.has_committed(connection, batch):
                        return
                    unsure = True
                    await writer.commit(connection, batch)
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                if verdict(error) is Verdict.POISON:
                    await self._isolate(batch, error)
                    return
                await self._after_failure(error, wait)
                wait = min(wait * 2, BACKOFF_S[1])
            else:
                return

    async def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the items, and the datasets of an item, that the database refuses; the others are stored."""
        if len(batch.items) > 1 or (batch.items and batch.rejections):
            for part in batch.split():
                await self._commit_batch(part)
        elif batch.items:
            log.error("refused_by_database", topic=batch.items[0].topic, error=str(error))
            try:
                refused = await self._refused_datasets(batch)
            except LOST as lost:
                await self._after_failure(lost, BACKOFF_S[0])
                await self._commit_batch(batch)
                return
            whole = Refusal(Reason.REFUSED_BY_DATABASE, str(error))
            await self._commit_batch(batch.without(refused) if refused else batch.refused(whole))
        else:
            # Not even the rejections can be written: at least they are counted.
            log.error("rejections_refused_by_database", count=len(batch.rejections), error=str(error))
            await self._commit_batch(Batch(counts=batch.counts))

    async def _refused_datasets(self, batch: Batch) -> dict[str, Refusal]:
        """The datasets of which the database refuses the rows; empty where that cannot be told."""
        connection, writer = await self._session.ready()
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            errors = {dataset: await writer.probe(connection, batch, dataset) for dataset in batch.rows}
        return {
            dataset: Refusal(Reason.REFUSED_BY_DATABASE, str(error), dataset=dataset)
            for dataset, error in errors.items()
            if error is not None
        }

    async def _after_failure(self, error: Exception, wait: float) -> None:
        self._session.drop()
        if verdict(error) is Verdict.FATAL and not isinstance(error, UspError):
            raise error
        log.warning("database_unavailable", error=str(error) or repr(error), retry_in_s=wait)
        if self._stopping.is_set():
            await asyncio.sleep(min(wait, 0.5))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._stopping.wait()


def _cost(message: Received) -> int:
    """What a waiting message takes of the memory; an empty one is not free."""
    return len(message.payload) + len(message.topic) + 300
