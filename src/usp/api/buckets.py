"""Aggregates over buckets of time: parts of hours from the partials where they stand, from raw rows where not.

Both in one snapshot, so that the answer is the same wherever its parts come from. Every device that has ever reported
what is asked has its row in every bucket.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from usp.api import statistics, stitching
from usp.api.bucket_statement import BucketStatement, Reporting
from usp.api.database import Database
from usp.api.paging import bucket_cursor
from usp.api.places import device_ids, where_it_counts
from usp.api.selection import Arguments, Column, ColumnType, Selection, about
from usp.db import Connection
from usp.errors import QueryError
from usp.models.bucket import By
from usp.models.dataset import Aggregation
from usp.models.edges import FIXED, HOUR
from usp.models.query import BucketQuery

_START = Column("start", ColumnType.TIME)
_SITE = Column("site", ColumnType.TEXT)
_POINT = (Column("lon", ColumnType.NUMBER), Column("lat", ColumnType.NUMBER))
_COUNTS = (
    Column("count", ColumnType.NUMBER, None, "Rows with a value that counts"),
    Column("expected", ColumnType.NUMBER, None, "Rows expected"),
    Column(
        "coverage", ColumnType.NUMBER, None, "Share of the rows expected, or of the time in which the state is known"
    ),
    Column("flagged", ColumnType.NUMBER, None, "Values left out"),
)


#: How many rows there are of a device in a bucket the planner cannot know, and where it guesses few, it goes through
#: them again and again. Joins by hashing cost as much as there is; look-ups by index are laterals, and stay so.
PLANNER = "; ".join(
    f"SET LOCAL {name} = {value}"
    for name, value in (("enable_nestloop", "off"), ("enable_mergejoin", "off"), ("jit", "off"), ("work_mem", "'32MB'"))
)


async def buckets(query: BucketQuery, database: Database, *, spatial: bool) -> Selection:
    """Aggregates in the order of (start, device or site), with a position if `spatial`.

    Raises QueryError where they would need raw rows that are gone.
    """
    async with database.connection() as connection:
        ids = await device_ids(connection, query.places, query.window)
        devices, moving = await _reporting(connection, query, ids), False
        if query.by is By.SITE or query.places.placed:
            devices, moving = await _standing(connection, query, devices)
        ((rolled, raw_from),) = await connection.fetch(
            "SELECT rolled, raw_from FROM rollup WHERE dataset = $1", query.dataset.name
        )
    _check_horizon(query, raw_from)
    everywhere = not moving and not any(device.until for device in devices)
    edges = _told(query, devices) if everywhere else query.edges
    return _selection(query, BucketStatement(query, edges, devices, rolled, moving=moving), spatial=spatial)


async def _reporting(connection: Connection, query: BucketQuery, ids: list[int] | None) -> list[Reporting]:
    """Devices in the order of their names."""
    arguments = Arguments()
    times = ", ".join(f'l."{p.name}_time"' for p in query.properties)
    newest = f"greatest({times})"
    # Whoever was retired in hindsight, and has reported since, did so until then.
    until = f"CASE WHEN d.retired_at IS NOT NULL THEN greatest(d.retired_at, {newest} + interval '1 microsecond') END"
    start = arguments.add(query.window.start, "timestamptz")
    conditions = [f"{newest} IS NOT NULL", f"coalesce({until} > {start}, true)"]
    if ids is not None:
        conditions.append(f"d.id = ANY({arguments.add(ids, 'int[]')})")
    rows = await connection.fetch(
        f"SELECT d.id, d.interval, {until} AS until FROM {query.dataset.name}_latest l "
        f"JOIN device d ON d.id = l.device_id WHERE {' AND '.join(conditions)} ORDER BY d.name",
        *arguments.values,
    )
    return [Reporting(*row) for row in rows]


async def _standing(
    connection: Connection, query: BucketQuery, devices: list[Reporting]
) -> tuple[list[Reporting], bool]:
    """The devices that stood where it is asked, with their sites; and whether any of them came, went or moved."""
    arguments = Arguments()
    ids = arguments.add([d.id for d in devices], "int[]")
    start, end = (arguments.add(at, "timestamptz") for at in (query.window.start, query.window.end))
    # A place counts from the first full hour on, so a device that came within the hour before is there from the start.
    rows = await connection.fetch(
        f"SELECT l.device_id, l.site, l.valid @> tstzrange(date_trunc('hour', {start}, 'UTC'), {end}) AS throughout "
        f"FROM placement l WHERE l.device_id = ANY({ids}) AND l.valid && tstzrange({start} - interval '1 hour', {end}) "
        f"AND {where_it_counts(query, arguments)}",
        *arguments.values,
    )
    sites = {row["device_id"]: row["site"] for row in rows}
    stood = [replace(d, site=sites[d.id]) for d in devices if d.id in sites]
    return stood, not all(row["throughout"] for row in rows)


def _check_horizon(query: BucketQuery, raw_from: datetime) -> None:
    window, fine = query.window, FIXED.get(query.width, HOUR) < HOUR
    needed = (
        [window.start]
        if fine
        else [at for at in (window.start, window.end) if at.minute or at.second or at.microsecond]
    )
    if any(at < raw_from for at in needed):
        advice = "take bucket=1h or wider" if fine else "begin and end on full hours of UTC"
        raise QueryError(
            f"Raw readings of {query.dataset.name} are there from {raw_from:%Y-%m-%dT%H:%M:%SZ} on, and this "
            f"needs them; {advice}, or a later `from`.",
            parameter="from",
        )


def _told(query: BucketQuery, devices: Sequence[Reporting]) -> Sequence[datetime]:
    """The edges of the buckets of this page. Where each has a row for each device, that is as many as fill it."""
    edges, page = query.edges, query.page
    if page.after is not None and page.after[0] is not None:
        time = page.after[0]
        edges = edges[: bisect_right(edges, time) + 1] if page.descending else edges[max(bisect_left(edges, time), 0) :]
    if page.limit is None:
        return edges
    keys = {By.DEVICE: devices, By.SITE: {d.site for d in devices}, By.ALL: ()}
    rows = max(len(keys[query.by]), 1)
    # One more for what is left of the first, and one that tells whether there is a next page.
    count = -(-(page.limit + 1) // rows) + 2
    return edges[-count:] if page.descending else edges[:count]


def _selection(query: BucketQuery, made: BucketStatement, *, spatial: bool) -> Selection:
    spatial = spatial and query.by is not By.ALL
    sql = _sql(query, made, spatial=spatial)
    window = query.window
    key = () if query.by is By.ALL else (Column(query.by.value, ColumnType.TEXT),)
    place = (*((_SITE,) if query.by is By.DEVICE else ()), *_POINT) if spatial else ()
    told = {"from": _written(window.start), "to": _written(window.end), "bucket": query.width.value}
    return Selection(
        name=f"{query.dataset.name}_{query.width}",
        sql=sql,
        values=tuple(made.arguments.values),
        columns=(_START, *key, *place, *(c for asked in query.asked for c in statistics.columns(asked)), *_COUNTS),
        limit=query.page.limit,
        cursor=partial(bucket_cursor, window, query.by.value),
        about=about(query.dataset) | told,
        planner=PLANNER,
    )


def _sql(query: BucketQuery, made: BucketStatement, *, spatial: bool) -> str:
    tables = [made.devs(), made.edge_table(), made.mark_table(), made.part_table()]
    if made.moving or spatial:
        tables.append(made.place_table())
    tables += [table for prop in made.stitched for table in stitching.tables(made, prop)]
    columns = [column for asked in query.asked for column in statistics.columns(asked)]
    formed = [sql for asked in query.asked for sql in statistics.finished(asked, made.sums)]
    shown = [f'{sql} AS "{column.name}"' for column, sql in zip(columns, formed, strict=True)]
    if made.single:
        told = f"SELECT c.b, c.device_id AS key, {', '.join([*shown, *_counts(made)])} FROM ({made.joined()}) c"
        return f"WITH {', '.join(tables)} {_ordered(query, made, told, spatial=spatial)}"
    added = [made.grid(), made.own(), *(sql for prop in made.stitched for sql in stitching.sums(made, prop))]
    tables.append(f"added AS ({' UNION ALL '.join(added)})")
    key = {By.DEVICE: "c.device_id", By.SITE: "c.site", By.ALL: "NULL"}[query.by]
    intervals = "JOIN devs d ON d.device_id = c.device_id" if made.interval == "d.interval" else ""
    told = f"""
        SELECT c.b, {key} AS key, {", ".join([*shown, *_counts(made)])}
        FROM added c {intervals}
        WHERE c.b BETWEEN 1 AND {made.buckets} GROUP BY 1, 2
    """
    return f"WITH {', '.join(tables)} {_ordered(query, made, told, spatial=spatial)}"


def _counts(made: BucketStatement) -> list[str]:
    """How much there is of how much there could be: by rows where a device has an interval, else by time."""
    total, interval = made.sums.total, "c.interval" if made.single else made.interval
    expected = total(f"c.seconds / {interval}")
    timed = total(f"CASE WHEN {interval} IS NOT NULL THEN c.rows END")
    share = f"coalesce({timed}, 0) / nullif({expected}, 0)"
    states = [p for p in made.stitched if p.aggregation is Aggregation.STATE]
    if states:
        known = " + ".join(statistics.known_seconds(p) for p in states)
        by_interval = total(f"CASE WHEN {interval} IS NOT NULL THEN c.seconds END")
        by_state = total(f"CASE WHEN {interval} IS NULL THEN c.seconds END")
        known_seconds = total(f"CASE WHEN {interval} IS NULL THEN {known} END")
        # Of both sorts, each weighs as much as the time of its devices.
        share = (
            f"(coalesce({share} * {by_interval}, 0) + coalesce({known_seconds} / {len(states)}, 0)) "
            f"/ nullif(coalesce({by_interval}, 0) + coalesce({by_state}, 0), 0)"
        )
    return [
        f'coalesce({total("c.rows")}, 0)::bigint AS "count"',
        f"round({expected})::bigint AS expected",
        f"round({share} * 1e4) / 1e4 AS coverage",
        f"coalesce({total('c.left_out')}, 0)::bigint AS flagged",
    ]


def _ordered(query: BucketQuery, made: BucketStatement, grouped: str, *, spatial: bool) -> str:
    """The buckets in order, with names and positions."""
    direction = "DESC" if query.page.descending else "ASC"
    name, order, joins = "", "g.b", "JOIN edges e ON e.b = g.b"
    if query.by is By.DEVICE:
        name, order = "d.name", "g.b, d.rank"
        joins += " JOIN devs d ON d.device_id = g.key"
    elif query.by is By.SITE:
        name, order = "g.key", "g.b, g.key"
    columns = ['e."start"', *([f"{name} AS {query.by}"] if name else []), "g.*"]
    if spatial and query.by is By.DEVICE:
        columns.append("p.site, p.lon, p.lat")
        joins += (
            " LEFT JOIN LATERAL (SELECT l.site, l.lon, l.lat FROM placed l WHERE l.device_id = g.key AND "
            'l.valid && tstzrange(e."start", e."end") ORDER BY upper(l.valid) DESC NULLS FIRST LIMIT 1) p ON true'
        )
    elif spatial:
        columns.append("p.lon, p.lat")
        joins += " LEFT JOIN site p ON p.name = g.key"
    after = ""
    if query.page.after is not None:
        time, key = query.page.after
        beyond = "<" if query.page.descending else ">"
        at = made.arguments.add(time, "timestamptz")
        equal = f'e."start" = {at} AND {name} {beyond} {made.arguments.add(key, "text")}' if name else "false"
        after = f'WHERE e."start" {beyond} {at} OR ({equal})'
    listed = ", ".join(f"{column} {direction}" for column in order.split(", "))
    return (
        f"SELECT {', '.join(columns)} FROM ({grouped}) g {joins} {after} "
        f"ORDER BY {listed} LIMIT ${len(made.arguments.values) + 1}::bigint"
    )


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
