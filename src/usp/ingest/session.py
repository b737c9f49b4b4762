"""The writer's database session: its slot, as a lock that dies with it, and its temporary tables."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from usp.db import LOST, WRITER_ROLE, Connection, connect
from usp.errors import DatabaseUnavailable, UspError
from usp.ingest.writer import Writer
from usp.models.tables import DEAD_AFTER_S

log = structlog.get_logger()

#: First key of the advisory locks; the second is the slot.
SLOT_LOCKS = 0x757370
#: Places for workers.
SLOTS = range(64)
#: The place of who takes up rejections; there is one, so that nothing is taken up twice at a time.
REPLAY_SLOTS = range(1000, 1001)


class NoSlot(UspError):
    """Every place for an ingest worker is taken."""


class Session:
    """Connects when it is needed, and again when it was dropped. The slot stays the same all its life.

    `lost` is called when a connection ends, so that also a worker with nothing to do takes its slot again.
    """

    def __init__(
        self, database_url: str, lost: Callable[[], None] = lambda: None, *, slots: Sequence[int] = SLOTS
    ) -> None:
        self._url = database_url
        self._slots = slots
        self._lost = lost
        self._connection: Connection | None = None
        self._writer: Writer | None = None
        self.slot: int | None = None

    async def ready(self) -> tuple[Connection, Writer]:
        """The connection and the writer that goes with it. Raises whatever keeps it from the database."""
        if self._connection is None or self._writer is None or self._connection.is_closed():
            self._connection = None
            connection = await connect(self._url, role=WRITER_ROLE, application="usp-ingest")
            try:
                self.slot = await self._take_slot(connection)
                self._writer = Writer(self.slot)
                await self._writer.prepare(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
            connection.add_termination_listener(lambda _: self._lost())
            log.info("database_connected", slot=self.slot)
        return self._connection, self._writer

    def drop(self) -> None:
        """Forget a connection that failed."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def leave(self) -> None:
        """Give the slot back and close; nothing of value is lost where that fails.

        The broker goes on queuing for the session of this slot, so the worker stays in the list, as one that is away,
        until it is back or another has taken that queue over.
        """
        if self._connection is None:
            return
        with suppress(*LOST):
            await self._connection.execute(
                "UPDATE usp.worker SET connected = false, in_flight = 0, "
                "heartbeat_at = now() - $2::float8 * interval '1 second' WHERE slot = $1",
                self.slot,
                DEAD_AFTER_S + 1,
                timeout=2,
            )
            await self._connection.close(timeout=2)
        self.drop()

    async def _take_slot(self, connection: Connection) -> int:
        for slot in self._slots if self.slot is None else [self.slot]:
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", SLOT_LOCKS, slot):
                return slot
        if self.slot is None:
            raise NoSlot
        # The server may not have noticed yet that our last connection died.
        await asyncio.sleep(1)
        raise DatabaseUnavailable(f"Slot {self.slot} is still held by another session.")
