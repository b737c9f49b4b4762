"""What a worker does beside its work: heartbeat, registry, old counts, and the queues that dead workers left."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from usp.db import CONNECT_TIMEOUT_S, LOST, WRITER_ROLE, Connection, connect
from usp.errors import UspError
from usp.ingest.codecs import Codec
from usp.ingest.registry import CHANNEL, Registry, publish_profiles
from usp.ingest.session import SLOT_LOCKS
from usp.models.profile import DeviceProfile
from usp.models.tables import DEAD_AFTER_S

log = structlog.get_logger()

HEARTBEAT_S = 1.0
REFRESH_S = 30.0
PRUNE_S = 3600.0
#: Minutes of detailed counts kept for rates; totals are kept for ever.
MINUTES_KEPT = "7 days"
LOOK_FOR_DEAD_S = 2.0

_SILENT = "heartbeat_at < now() - $2::float8 * interval '1 second'"


#: Reads profiles and codecs anew. Raises UspError where a file is wrong.
Teach = Callable[[], tuple[Mapping[str, DeviceProfile], Mapping[str, Codec]]]


@dataclass(frozen=True)
class State:
    """What the heartbeat tells."""

    slot: int
    in_flight: int
    connected: bool


class Housekeeping:
    """Runs over a connection of its own, so that none of it waits for a batch."""

    def __init__(
        self,
        database_url: str,
        registry: Registry,
        state: Callable[[], State],
        take_over: Callable[[int], Coroutine[Any, Any, None]],
        teach: Teach | None = None,
    ) -> None:
        self._url = database_url
        self._registry = registry
        self._state = state
        self._take_over = take_over
        self._teach = teach
        self._changed = asyncio.Event()
        self._started_at = datetime.now(UTC)
        self._done_at: dict[str, float] = {}
        self._taking: asyncio.Task[None] | None = None
        self._taken = 0

    async def run(self) -> None:
        """Until cancelled; the database may go away meanwhile."""
        while True:
            connection: Connection | None = None
            try:
                connection = await connect(self._url, role=WRITER_ROLE, application="usp-ingest-house")
                # After an outage nobody has been heard of for a while, and all who live need a moment to say so.
                self._done_at["dead"] = asyncio.get_running_loop().time() + DEAD_AFTER_S
                await connection.add_listener(CHANNEL, lambda *_: self._changed.set())
                self._changed.set()
                while True:
                    await self._round(connection)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HEARTBEAT_S):
                            await self._changed.wait()
            except LOST as error:
                log.warning("housekeeping_interrupted", error=str(error) or repr(error))
            finally:
                if self._taking is not None:
                    self._taking.cancel()
                    self._taking = None
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(1)

    async def _round(self, connection: Connection) -> None:
        state = self._state()
        await self._beat(connection, state)
        if self._changed.is_set() or self._due("refresh", REFRESH_S):
            self._changed.clear()
            await refresh(connection, self._registry, self._teach)
        if self._due("prune", PRUNE_S):
            await connection.execute(
                "DELETE FROM usp.ingest_minute WHERE ctid IN (SELECT ctid FROM usp.ingest_minute "
                "WHERE minute < now() - $1::text::interval FOR UPDATE SKIP LOCKED)",
                MINUTES_KEPT,
            )
        if self._due("dead", LOOK_FOR_DEAD_S):
            await self._look_for_dead(connection, state.slot)

    def _due(self, what: str, every: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._done_at.get(what, float("-inf")) < every:
            return False
        self._done_at[what] = now
        return True

    async def _beat(self, connection: Connection, state: State) -> None:
        await connection.execute(
            """
            INSERT INTO usp.worker (slot, host, pid, started_at, heartbeat_at, in_flight, connected)
            VALUES ($1, $2, $3, $4, now(), $5, $6)
            ON CONFLICT (slot) DO UPDATE SET host = excluded.host, pid = excluded.pid,
                started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at,
                in_flight = excluded.in_flight, connected = excluded.connected
            """,
            state.slot,
            socket.gethostname(),
            os.getpid(),
            self._started_at,
            state.in_flight,
            state.connected,
            timeout=CONNECT_TIMEOUT_S,
        )

    async def _look_for_dead(self, connection: Connection, own: int) -> None:
        """Messages that the broker keeps for a dead worker's session wait until somebody takes its name.

        One at a time, beside everything else. The lock is held by this connection, and goes with it.
        """
        if self._taking is not None:
            if not self._taking.done():
                return
            self._taking.result()
            self._taking = None
            await connection.execute("DELETE FROM usp.worker WHERE slot = $1", self._taken)
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", SLOT_LOCKS, self._taken)
        dead = await connection.fetch(
            f"SELECT slot FROM usp.worker WHERE slot <> $1 AND {_SILENT} ORDER BY slot", own, DEAD_AFTER_S
        )
        for (slot,) in dead:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", SLOT_LOCKS, slot):
                continue
            # It may have come, worked and gone between the two questions.
            query = f"SELECT EXISTS (SELECT FROM usp.worker WHERE slot = $1 AND {_SILENT})"
            if await connection.fetchval(query, slot, DEAD_AFTER_S):
                self._taken = slot
                self._taking = asyncio.create_task(self._take_over(slot), name=f"take-over-{slot}")
                return
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", SLOT_LOCKS, slot)


async def refresh(connection: Connection, registry: Registry, teach: Teach | None = None) -> None:
    """Read the registry; learn profiles that have come since, and say which devices nobody can understand."""
    without_profile = await registry.refresh(connection)
    if without_profile and teach is not None:
        try:
            profiles, codecs = await asyncio.to_thread(teach)
        except UspError as error:
            log.error("profiles_not_read", error=str(error))  # noqa: TRY400 - whoever wrote the file needs no trace
        else:
            registry.learn(profiles, codecs)
            await publish_profiles(connection, profiles)
            without_profile = await registry.refresh(connection)
    if without_profile:
        log.error("devices_without_profile", count=len(without_profile), first=without_profile[:5])
