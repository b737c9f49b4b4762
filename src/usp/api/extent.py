"""From when to when there are readings. The views have no index by time alone, so the first week is searched for."""

import time
from datetime import UTC, datetime, timedelta

from usp.api.database import Database
from usp.db import Connection
from usp.models.dataset import Dataset

#: Nothing older is ever taken in.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
#: A chunk of the hypertable: within it a scan is as good as a search.
_CHUNK = timedelta(days=7)
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
    """Halve the time in which the first reading lies until it is within a chunk."""
    view = f"{name} WHERE time >= $1 AND time < $2"
    low, high = _EPOCH, last + timedelta(microseconds=1)
    while high - low > _CHUNK:
        middle = low + (high - low) / 2
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {view})", low, middle):
            high = middle
        else:
            low = middle
    first: datetime | None = await connection.fetchval(f"SELECT min(time) FROM {view}", low, high)
    return first or last
