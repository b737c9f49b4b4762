"""A worker: reads, writes, acknowledges; survives the database and the broker; drains before it ends."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg
import structlog

from usp.db import CONNECT_TIMEOUT_S, WRITER_ROLE, Connection, Verdict, connect, verdict
from usp.errors import DatabaseUnavailable, UspError
from usp.ingest.batch import Batch
from usp.ingest.bridges.mqtt_native import NativeBridge
from usp.ingest.mqtt import MqttSource
from usp.ingest.packets import Received
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import CHANNEL, Registry, publish_profiles
from usp.ingest.writer import Writer, unstorable
from usp.models.profile import DeviceProfile
from usp.settings import MqttVersion

log = structlog.get_logger()

#: Messages in one transaction: enough to make its fixed cost small, few enough to stay far below a second.
BATCH_MESSAGES = 5_000
#: Payload bytes waiting uncommitted, above which the socket is left alone.
PAUSE_BYTES = 64 * 1024 * 1024
COMMIT_TIMEOUT_S = 60.0
BACKOFF_S = (0.1, 5.0)
HEARTBEAT_S = 1.0
REFRESH_S = 30.0
DRAIN_S = 10.0
#: Minutes of detailed counts kept for rates; totals are kept for ever.
MINUTES_KEPT = "7 days"
_SLOTS = 64
_SLOT_LOCKS = 0x757370


class SlotLost(UspError):
    """Another worker has taken this worker's place while the database was away."""


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
        self._database_url = database_url
        self._broker_url = broker_url
        self._profiles = profiles
        self._version = version
        self._registry = Registry(profiles)
        self._pipeline = Pipeline(NativeBridge(), self._registry)
        self._waiting: deque[Received] = deque()
        self._waiting_bytes = 0
        self._committing = 0
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None
        self._slot: int | None = None
        self._writer: Writer | None = None
        self._source: MqttSource | None = None
        self._started_at = datetime.now(UTC)

    @property
    def in_flight(self) -> int:
        """Messages received and not yet committed."""
        return len(self._waiting) + self._committing

    @property
    def connected(self) -> bool:
        """Whether the broker delivers to this worker now."""
        return self._source is not None and self._source.connected

    def stop(self) -> None:
        """Ask the worker to drain and end."""
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        """Work until `stop`; the death of any task ends the whole worker."""
        await self._first_connection()
        self._source = MqttSource(
            self._broker_url,
            client_id=f"usp-ingest-{self._slot}",
            subscriptions=NativeBridge.subscriptions,
            deliver=self._deliver,
            lost=self._forget,
            version=self._version,
        )
        async with asyncio.TaskGroup() as tasks:
            source = tasks.create_task(self._source.run(), name="mqtt")
            housekeeping = tasks.create_task(self._keep_house(), name="housekeeping")
            tasks.create_task(self._work(source, housekeeping), name="writer")

    async def _first_connection(self) -> None:
        while not self._stopping.is_set():
            try:
                connection = await self._writable()
                await publish_profiles(connection, self._profiles)
                self._warn_of(await self._registry.refresh(connection))
                break
            except SlotLost:
                raise
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                await self._after_failure(error, BACKOFF_S[1])

    def _deliver(self, messages: list[Received]) -> None:
        self._waiting.extend(messages)
        self._waiting_bytes += sum(len(message.payload) for message in messages)
        self._arrived.set()
        if self._waiting_bytes > PAUSE_BYTES and self._source is not None:
            self._source.pause()

    def _forget(self) -> None:
        """Let go of what the broker will send again, so that a flapping connection cannot fill the memory."""
        self._waiting = deque(message for message in self._waiting if not message.mid)
        self._waiting_bytes = sum(len(message.payload) for message in self._waiting)

    async def _work(self, *others: asyncio.Task[None]) -> None:
        """Commit what has arrived while the last commit was under way; no timer, so an idle worker adds no delay."""
        while not self._stopping.is_set():
            await self._arrived.wait()
            self._arrived.clear()
            await self._commit_waiting()
        if self._source is not None:
            self._source.pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._commit_waiting()
            await self._source.close()
        for task in others:
            task.cancel()
        await self._leave()

    async def _commit_waiting(self) -> None:
        assert self._source is not None  # noqa: S101 - run() makes it
        while self._waiting:
            count = min(BATCH_MESSAGES, len(self._waiting))
            messages = [self._waiting.popleft() for _ in range(count)]
            self._waiting_bytes -= sum(len(m.payload) for m in messages)
            self._committing = count
            await self._commit(messages)
            # Last of all: had we died one line earlier, the broker would send these again, and they would be
            # recognised as duplicates. Acknowledged before the commit, they would be lost.
            self._source.acknowledge(messages)
            self._committing = 0
            if self._waiting_bytes < PAUSE_BYTES // 2:
                self._source.resume()
            await asyncio.sleep(0)

    async def _commit(self, messages: list[Received]) -> None:
        """Write the messages, however long the database is away; what it can never take is isolated and rejected."""
        wait = BACKOFF_S[0]
        while True:
            batch = self._batch_of(messages)
            try:
                connection = await self._writable()
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await self._write(connection, batch)
            except SlotLost:
                raise
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                if verdict(error) is Verdict.POISON:
                    await self._isolate(messages, batch, error)
                    return
                await self._after_failure(error, wait)
                wait = min(wait * 2, BACKOFF_S[1])
            else:
                return

    async def _write(self, connection: Connection, batch: Batch) -> None:
        assert self._writer is not None  # noqa: S101 - comes with the connection
        await self._writer.commit(connection, batch)

    def _batch_of(self, messages: list[Received]) -> Batch:
        batch = Batch()
        process = self._pipeline.process
        for message in messages:
            process(message.topic, message.payload, message.received_at, batch)
        return batch

    async def _isolate(self, messages: list[Received], batch: Batch, error: Exception) -> None:
        """Halve until the one item is found that the database refuses; its siblings are stored."""
        if len(messages) > 1:
            middle = len(messages) // 2
            await self._commit(messages[:middle])
            await self._commit(messages[middle:])
        elif len(batch.items) > 1:
            for item in batch.items:
                await self._commit([messages[0]._replace(payload=item.payload())])
        else:
            log.error("refused_by_database", topic=messages[0].topic, error=str(error))
            refused = Batch(rejections=[*batch.rejections, *(unstorable(item, error) for item in batch.items)])
            refused.count_refused(batch)
            await self._write(await self._writable(), refused)

    async def _writable(self) -> Connection:
        """The writer's connection, made anew where it is gone. It holds the slot, as a lock that dies with it."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        connection = await connect(self._database_url, role=WRITER_ROLE, application="usp-ingest")
        try:
            slots = range(_SLOTS) if self._slot is None else [self._slot]
            for slot in slots:
                if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", _SLOT_LOCKS, slot):
                    break
            else:
                await self._slot_taken()
            self._slot = slot
            self._writer = Writer(slot)
            await self._writer.prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        log.info("database_connected", slot=slot)
        return connection

    async def _slot_taken(self) -> None:
        if self._slot is None:
            raise SlotLost(f"All {_SLOTS} slots are taken.")
        # The server may not have noticed yet that our last connection died.
        await asyncio.sleep(1)
        raise DatabaseUnavailable(f"Slot {self._slot} is still held by another session.")

    async def _after_failure(self, error: Exception, wait: float) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if verdict(error) is Verdict.FATAL and not isinstance(error, UspError):
            raise error
        log.warning("database_unavailable", error=str(error) or repr(error), retry_in_s=wait)
        await asyncio.sleep(wait)

    async def _keep_house(self) -> None:
        """Heartbeat, registry, old minutes: over a connection of its own, so that none of it waits for a batch."""
        changed = asyncio.Event()
        while True:
            connection: Connection | None = None
            try:
                connection = await connect(self._database_url, role=WRITER_ROLE, application="usp-ingest-house")
                await connection.add_listener(CHANNEL, lambda *_: changed.set())
                changed.set()
                await self._keep_house_over(connection, changed)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("housekeeping_interrupted", error=str(error) or repr(error))
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(1)

    async def _keep_house_over(self, connection: Connection, changed: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        refreshed = pruned = 0.0
        while True:
            if changed.is_set() or loop.time() - refreshed > REFRESH_S:
                changed.clear()
                refreshed = loop.time()
                self._warn_of(await self._registry.refresh(connection))
            if not pruned or loop.time() - pruned > 3600:
                pruned = loop.time()
                await connection.execute(
                    "DELETE FROM usp.ingest_minute WHERE slot = $1 AND minute < now() - $2::text::interval",
                    self._slot,
                    MINUTES_KEPT,
                )
            await self._beat(connection)
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await changed.wait()

    async def _beat(self, connection: Connection) -> None:
        await connection.execute(
            """
            INSERT INTO usp.worker (slot, host, pid, started_at, heartbeat_at, in_flight, connected)
            VALUES ($1, $2, $3, $4, now(), $5, $6)
            ON CONFLICT (slot) DO UPDATE SET host = excluded.host, pid = excluded.pid,
                started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at,
                in_flight = excluded.in_flight, connected = excluded.connected
            """,
            self._slot,
            socket.gethostname(),
            os.getpid(),
            self._started_at,
            self.in_flight,
            self.connected,
            timeout=CONNECT_TIMEOUT_S,
        )

    async def _leave(self) -> None:
        if self._connection is None:
            return
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._connection.execute("DELETE FROM usp.worker WHERE slot = $1", self._slot, timeout=2)
            await self._connection.close(timeout=2)

    @staticmethod
    def _warn_of(without_profile: list[str]) -> None:
        if without_profile:
            log.error("devices_without_profile", count=len(without_profile), first=without_profile[:5])
