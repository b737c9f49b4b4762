"""CSV: everything, as PostgreSQL writes it, in a stream that never holds more than a few chunks."""

import asyncio
from collections.abc import AsyncIterator, Callable

from usp.api.database import Database
from usp.api.selection import TIME_AS_TEXT, ColumnType, Selection

_CHUNK_BYTES = 64 * 1024
_CHUNKS_WAITING = 4
#: A client that takes nothing for so long is gone; it would keep a connection and a snapshot.
_PATIENCE_S = 60.0
#: A database that gives nothing for so long, not even to begin with, does not answer any more.
_SILENCE_S = 300.0
#: How long an export may take is up to its client; the pool's limit for a statement would cut it.
_LONGEST_S = 24 * 3600.0

#: `real` and `double precision` are written by PostgreSQL as their shortest decimal already.
_AS_TEXT = {ColumnType.TIME: TIME_AS_TEXT, ColumnType.BOOLEAN: "{0}::text"}


class CSV:
    """RFC 4180 with a header line, but lines end with LF; lists are joined by ';', what is not there is empty."""

    name = "csv"
    media_type = "text/csv"
    content_type = "text/csv; charset=utf-8; header=present"
    paged = False
    spatial = False

    async def chunks(
        self,
        selection: Selection,
        database: Database,
        link: Callable[[str], str],  # noqa: ARG002 - CSV has no pages
    ) -> AsyncIterator[bytes]:
        """Copy out through a bounded queue: a slow client holds the server back, a gone one stops the query."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS_WAITING)
        copying = asyncio.create_task(_copy(selection, database, queue), name=f"csv-{selection.name}")
        try:
            while chunk := await asyncio.wait_for(queue.get(), _SILENCE_S):
                yield chunk
            await copying
        finally:
            copying.cancel()
            await asyncio.gather(copying, return_exceptions=True)


async def _copy(selection: Selection, database: Database, queue: asyncio.Queue[bytes]) -> None:
    """Fill the queue; an empty chunk is the end, also after an error."""
    gathered = bytearray()

    async def output(data: bytes) -> None:
        gathered.extend(data)
        if len(gathered) >= _CHUNK_BYTES:
            async with asyncio.timeout(_PATIENCE_S):
                await queue.put(bytes(gathered))
            gathered.clear()

    try:
        async with database.export() as connection, connection.transaction(readonly=True):
            # How long an export takes is up to the client.
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.copy_from_query(
                selection.rendered(_AS_TEXT),
                *selection.values,
                selection.limit,
                output=output,
                timeout=_LONGEST_S,
                format="csv",
                header=True,
            )
        if gathered:
            await queue.put(bytes(gathered))
    except Exception:
        await queue.put(b"")
        raise
    await queue.put(b"")
