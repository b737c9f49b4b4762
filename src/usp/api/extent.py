"""From when to when there are readings. The views have no index by time alone, so the first week is searched for."""

import time
from datetime import UTC, datetime, timedelta

from usp.api.database import Database
from usp.db import Connection
from usp.models.dataset import Dataset
from usp.models.tables import CHUNK

#: Nothing older is ever taken in.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
#: The first reading hardly ever changes, and looking for it takes a dozen steps.
_KEEP_S = 60.0

Extent = tuple[datetime, datetime]


class Extents:
    """Extents of the datasets as one role sees them; the beginnings are remembered for a minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._first: dict[str, tuple[float, datetime]] = {}

    async def of(self, datasets: list[Dataset]) -> dict[str, Extent]:
        """First and last visible reading of those datasets that have any."""
        sql = " UNION ALL ".join(
            f"SELECT '{d.name}' AS dataset, max(time) AS last FROM {d.name}_latest" for d in datasets
        )
        found = {}
        async with self._database.connection() as connection:
            for row in await connection.fetch(sql):
                if row["last"] is not None:
                    name, last = row["dataset"], row["last"]
                    found[name] = (await self._first_of(connection, name, last), last)
        return found

    async def _first_of(self, connection: Connection, name: str, last: datetime) -> datetime:
        looked_at, first = self._first.get(name, (-_KEEP_S, last))
        if time.monotonic() - looked_at >= _KEEP_S:
            first = await _search(connection, name, last)
            self._first[name] = (time.monotonic(), first)
        return first


async def _search(connection: Connection, name: str, last: datetime) -> datetime:
    """The first reading, or the hour of it where it is only among the partials any more."""
    end = last + timedelta(microseconds=1)
    raw_from = await connection.fetchval("SELECT raw_from FROM rollup WHERE dataset = $1", name)
    first = await _halve(connection, f"{name}_hourly", "hour", min(raw_from, end)) if raw_from > _EPOCH else None
    return first or await _halve(connection, name, "time", end) or last


async def _halve(connection: Connection, view: str, column: str, end: datetime) -> datetime | None:
    """Halve the time in which the first row lies until it is within a chunk: there a scan is as good as a search."""
    rows = f"{view} WHERE {column} >= $1 AND {column} < $2"
    low, high = _EPOCH, end
    while high - low > CHUNK:
        middle = low + (high - low) / 2
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {rows})", low, middle):
            high = middle
        else:
            low = middle
    first: datetime | None = await connection.fetchval(f"SELECT min({column}) FROM {rows}", low, high)
    return first
