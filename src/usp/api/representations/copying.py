"""Rows out of the database as they come, through a queue that never holds more than a few chunks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from usp.api.database import Database
from usp.api.selection import Selection
from usp.db import Connection
from usp.models.tables import CHUNK

_CHUNKS_WAITING = 4
#: A client that takes nothing for so long is gone; it would keep a connection and a snapshot.
_PATIENCE_S = 60.0
#: A database that gives nothing for so long, not even to begin with, does not answer any more.
_SILENCE_S = 300.0
#: How long an export may take is up to its client; the pool's limit for a statement would cut it.
_LONGEST_S = 24 * 3600.0

#: Rows in the order of their times are had slice by slice: each is sorted in memory, and the first is there at once,
#: where the whole would first be sorted on disk. How long a slice is follows from how many rows the last one had.
_FIRST_SLICE = timedelta(days=1)
_SHORTEST_SLICE = timedelta(seconds=1)
#: Long slices end where a chunk of the hypertable ends, so that no chunk is read twice.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLICE_ROWS = 100_000
_SLICE_MEMORY = "16MB"


#: The loop itself keeps no task alive.
_ENDING: set[asyncio.Task[None]] = set()


def _ended(copying: asyncio.Task[None]) -> None:
    _ENDING.discard(copying)
    if not copying.cancelled():
        copying.exception()


@dataclass(frozen=True)
class Copy:
    """A statement made of a selection, and how COPY is to write its rows.

    `options` are those of asyncpg's `copy_from_query`. Chunks are `chunk_bytes` or a little more; PostgreSQL sends
    each row as a message of its own (Frontend/Backend Protocol, 53.2.6), so that a chunk ends where a row ends.
    """

    sql: str
    options: dict[str, Any] = field(default_factory=dict)
    chunk_bytes: int = 64 * 1024

    async def chunks(self, selection: Selection, database: Database) -> AsyncIterator[bytes]:
        """Copy out: a slow client holds the server back, a gone one stops the query.

        Raises what the statement raises; where it fails before its first chunk is full, nothing has been yielded.
        """
        queue: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS_WAITING)
        copying = asyncio.create_task(self._fill(queue, selection, database), name=f"copy-{selection.name}")
        try:
            while chunk := await asyncio.wait_for(queue.get(), _SILENCE_S):
                yield chunk
            await copying
        finally:
            copying.cancel()
            # Not gathered: whoever ends us may do so again and again (anyio does), but its rollback has to end.
            _ENDING.add(copying)
            copying.add_done_callback(_ended)
            await asyncio.wait([copying])

    async def _fill(self, queue: asyncio.Queue[bytes], selection: Selection, database: Database) -> None:
        """Fill the queue; an empty chunk is the end, also after an error."""
        gathered = bytearray()

        async def output(data: bytes) -> None:
            gathered.extend(data)
            if len(gathered) >= self.chunk_bytes:
                async with asyncio.timeout(_PATIENCE_S):
                    await queue.put(bytes(gathered))
                gathered.clear()

        try:
            # One snapshot for all slices.
            async with (
                database.export() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(f"SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '{_SLICE_MEMORY}'")
                if selection.planner:
                    await connection.execute(selection.planner)
                await self._copy(connection, selection, output)
            if gathered:
                await queue.put(bytes(gathered))
        except Exception:
            await queue.put(b"")
            raise
        await queue.put(b"")

    async def _copy(
        self, connection: Connection, selection: Selection, output: Callable[[bytes], Coroutine[Any, Any, None]]
    ) -> None:
        """Copy slice after slice, the header with the first."""
        parts, options = slices(selection), self.options
        values = next(parts)
        with suppress(StopIteration):
            while True:
                status = await connection.copy_from_query(
                    self.sql,
                    *values,
                    selection.limit,
                    output=output,
                    timeout=_LONGEST_S,
                    format="csv",
                    **options,
                )
                options = self.options | {"header": False}
                values = parts.send(int(status.removeprefix("COPY ")))


def slices(selection: Selection) -> Generator[tuple[Any, ...], int, None]:
    """The values for each slice, one after the other; wants to be told how many rows it had."""
    if selection.span is None or selection.limit is not None:
        yield selection.values
        return
    values, (first, last) = list(selection.values), selection.span
    start, end = values[first], values[last]
    step = _FIRST_SLICE
    while True:
        step = min(max(step, _SHORTEST_SLICE), end - start)
        if selection.descending:
            cut = max(end - step, start)
            if step >= CHUNK:
                cut = max(cut + (_EPOCH - cut) % CHUNK, start)
            values[first], values[last] = cut, end
            end = cut
        else:
            cut = min(start + step, end)
            if start + CHUNK <= cut < end:
                cut -= (cut - _EPOCH) % CHUNK
            values[first], values[last] = start, cut
            start = cut
        rows = yield tuple(values)
        if start >= end:
            return
        step *= min(4.0, max(0.25, _SLICE_ROWS / max(rows, 1)))
