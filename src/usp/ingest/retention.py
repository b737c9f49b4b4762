"""Raw readings that have become too old: what is refused, and what goes.

Whole chunks go, once every hour in them stands in the partials; those stay for ever. The horizon, `raw_from`, is moved
first, and chunks are dropped well after that: nobody takes what is half gone for all there is, and whoever dies in
between leaves rows that the next one drops. What is taken in ends two days before what may go, so that nothing is on
its way into an hour that closes.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from usp.db import LOST, Connection, connect
from usp.ingest.times import EARLIEST, Oldest
from usp.models.datasets import DATASETS
from usp.models.retention import Retention

log = structlog.get_logger()

#: Rows may lie so far before what is taken in, and still stay: a measuring interval begins up to a day before the time
#: that is sent of it, and clocks of workers differ.
MARGIN = timedelta(days=2)
EVERY_S = 3600.0
#: Queries that have looked at the horizon before it was moved have found their rows after so long.
PAUSE_S = 5.0
#: A chunk that somebody reads for longer waits for the next round; behind who waits for it, all others would wait.
_LOCK_WAIT = "5s"
_PATIENCE_S = 600.0


class Horizon:
    """How far back datasets reach: by what is set, and by which raw rows are gone."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        self._raw_from: dict[str, datetime] = {}

    async def read(self, connection: Connection) -> None:
        """Learn from where on there are raw rows."""
        records = await connection.fetch("SELECT dataset, raw_from FROM usp.rollup WHERE raw_from > $1", EARLIEST)
        self._raw_from = {record["dataset"]: record["raw_from"] for record in records}

    def oldest(self, now: datetime) -> dict[str, Oldest]:
        """The limits of those datasets that have any."""
        found = {}
        for name in self.retention.keys() | self._raw_from.keys():
            keep, row = self.retention.get(name), self._raw_from.get(name, EARLIEST - MARGIN)
            found[name] = Oldest(row if keep is None else max(now - keep, row), row)
        return found


@dataclass(frozen=True)
class Chunk:
    """A week of raw rows; `rows` is None where the database has not estimated them yet."""

    start: datetime
    end: datetime
    bytes: int
    rows: int | None


@dataclass(frozen=True)
class Standing:
    """What of a dataset would go, and why not more."""

    dataset: str
    keep: timedelta | None
    horizon: datetime
    chunks: tuple[Chunk, ...]
    going: tuple[Chunk, ...]
    waits: str

    @property
    def raw_from(self) -> datetime | None:
        """From where on there may be raw rows; None where there are none."""
        return max(self.horizon, self.chunks[0].start) if self.chunks else None

    @property
    def until(self) -> datetime:
        """The horizon as it would be."""
        return max([self.horizon, *(chunk.end for chunk in self.going)])


_CHUNKS = """
    SELECT c.range_start AS start, c.range_end AS end, pg_total_relation_size(k.oid) AS bytes,
        CASE WHEN k.reltuples >= 0 THEN k.reltuples::bigint END AS rows
    FROM timescaledb_information.chunks c
    JOIN pg_class k ON k.oid = to_regclass(format('%I.%I', c.chunk_schema, c.chunk_name))
    WHERE c.hypertable_schema = 'usp' AND c.hypertable_name = $1 ORDER BY c.range_start
"""

# As the account that has logged in: only a table's owner may drop chunks of it, and no role of ours is that.
_STATE = """
    SELECT r.rolled, r.raw_from, session_user AS account, pg_get_userbyid(t.relowner) AS owner,
        pg_has_role(session_user, t.relowner, 'USAGE') AS ours,
        (SELECT min(m.hour) FROM usp.rollup_mark m WHERE m.dataset = r.dataset AND m.hour >= r.raw_from) AS marked
    FROM usp.rollup r JOIN pg_class t ON t.oid = to_regclass('usp.' || quote_ident(r.dataset)) WHERE r.dataset = $1
"""

_MOVE = """
    UPDATE usp.rollup r SET raw_from = $2 WHERE r.dataset = $1 AND r.raw_from < $2 AND r.rolled >= $2 AND NOT EXISTS (
        SELECT FROM usp.rollup_mark m WHERE m.dataset = $1 AND m.hour >= r.raw_from AND m.hour < $2
    ) RETURNING r.dataset
"""


async def examine(connection: Connection, retention: Retention, now: datetime) -> list[Standing]:
    """What stands of every dataset, and what of it may go; changes nothing."""
    return [await _examine_one(connection, name, retention.get(name), now) for name in DATASETS]


async def _examine_one(connection: Connection, name: str, keep: timedelta | None, now: datetime) -> Standing:
    ((rolled, horizon, account, owner, ours, marked),) = await connection.fetch(_STATE, name)
    chunks = tuple(Chunk(**record) for record in await connection.fetch(_CHUNKS, name))
    old = [] if keep is None else [chunk for chunk in chunks if chunk.end <= now - keep - MARGIN]
    closed = rolled if marked is None else min(rolled, marked)
    going = [chunk for chunk in old if chunk.end <= max(closed, horizon)]
    waits = ""
    if old and not ours:
        going, waits = [], f"{account} does not own usp.{name}; {owner} does"
    elif len(going) < len(old) and rolled < old[len(going)].end:
        waits = f"hours from {rolled:%Y-%m-%dT%H:%MZ} on are not rolled up yet"
    elif len(going) < len(old):
        waits = f"late readings of {marked:%Y-%m-%dT%H:%MZ} are not in the partials yet"
    return Standing(name, keep, horizon, chunks, tuple(going), waits)


async def rows_of(connection: Connection, standing: Standing) -> int:
    """About how many rows would go; counted where nothing has been estimated yet."""
    count = 0
    for chunk in standing.going:
        rows = chunk.rows
        if rows is None:
            query = f"SELECT count(*) FROM usp.{standing.dataset} WHERE time >= $1 AND time < $2"
            rows = await connection.fetchval(query, chunk.start, chunk.end, timeout=_PATIENCE_S)
        count += rows or 0
    return count


async def move_horizons(connection: Connection, found: Iterable[Standing]) -> None:
    """Let raw rows that may go count as gone."""
    for standing in found:
        if standing.until > standing.horizon and await connection.fetchval(_MOVE, standing.dataset, standing.until):
            log.info("horizon_moved", dataset=standing.dataset, raw_from=standing.until.isoformat())


async def drop(database_url: str, found: Iterable[Standing]) -> list[tuple[str, Chunk]]:
    """Drop those chunks that may go and count as gone, as the account itself, oldest first; returns them."""
    dropped: list[tuple[str, Chunk]] = []
    standings = [standing for standing in found if standing.going]
    if not standings:
        return dropped
    connection = await connect(database_url, role=None, application="usp-retention")
    try:
        await connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
        for standing in standings:
            name = standing.dataset
            horizon = await connection.fetchval("SELECT raw_from FROM usp.rollup WHERE dataset = $1", name)
            for chunk in standing.going:
                if chunk.end <= horizon:
                    # Each in a transaction of its own, so that none is locked while others are waited for.
                    await connection.fetch(
                        f"SELECT drop_chunks('usp.{name}', older_than => $1::timestamptz)", chunk.end
                    )
                    log.info("chunk_dropped", dataset=name, until=chunk.end.isoformat(), bytes=chunk.bytes)
                    dropped.append((name, chunk))
    finally:
        connection.terminate()
    return dropped


class Retirement:
    """What one worker does about it: knows the horizon, and if it is the one who rolls up, moves it and drops."""

    def __init__(self, database_url: str, horizon: Horizon) -> None:
        self._url = database_url
        self._horizon = horizon
        self._done_at = float("-inf")

    async def round(self, connection: Connection, *, mine: bool) -> None:
        """Read the horizon; every hour, drop what has been behind it for an hour, and move it."""
        await self._horizon.read(connection)
        now = asyncio.get_running_loop().time()
        if not mine or not self._horizon.retention or now - self._done_at < EVERY_S:
            return
        self._done_at = now
        found = await examine(connection, self._horizon.retention, datetime.now(UTC))
        for standing in found:
            if standing.waits:
                log.warning("retention_waits", dataset=standing.dataset, why=standing.waits)
        try:
            await drop(self._url, found)
        except LOST as error:
            # Somebody reads there, or the account may not: the next hour tries again.
            log.warning("retention_interrupted", error=str(error) or repr(error))
        await move_horizons(connection, found)
