"""Readings and newest values: frozen queries to SQL over the views of the reader's schema, which keep visibility."""

from functools import partial

from usp.api.database import Database
from usp.api.paging import name_cursor, reading_cursor
from usp.api.places import device_ids, placements
from usp.api.selection import Arguments, Column, ColumnType, Selection, about, identifier, property_column
from usp.models.dataset import ROW_FLAG_NAMES, VALUE_BOTTOM_CODED, VALUE_OUT_OF_RANGE, Dataset, Property
from usp.models.query import Condition, LatestQuery, Places, ReadingQuery

_DEVICE = Column("device", ColumnType.TEXT)
_TIME = Column("time", ColumnType.TIME)
_PLACE = (
    Column("site", ColumnType.TEXT),
    Column("lon", ColumnType.NUMBER),
    Column("lat", ColumnType.NUMBER),
)
_PERIOD = Column("period", ColumnType.NUMBER)
_FLAGS = Column("flags", ColumnType.LIST)


async def readings(query: ReadingQuery, database: Database) -> Selection:
    """Readings in the order of (time, device), each with the place of its own time."""
    async with database.connection() as connection:
        ids = await device_ids(connection, query.places, query.window)
        if ids is None:
            # Rows are found by device and time; by time alone there is no index.
            ids = [
                row["device_id"] for row in await connection.fetch(f"SELECT device_id FROM {query.dataset.name}_latest")
            ]
    arguments = Arguments()
    dataset = query.dataset
    placed = placements(query.places, ids, arguments)
    first = len(arguments.values)
    conditions = _reading_conditions(query, ids, arguments)
    direction = "DESC" if query.page.descending else "ASC"
    order = f"ORDER BY r.time {direction}, r.device {direction}"
    period = (_PERIOD,) if dataset.interval else ()
    own = ", ".join(f"r.{identifier(c.name)}" for c in (*period, *map(property_column, query.properties)))
    where, limit = " AND ".join(conditions), f"{order} LIMIT ${len(arguments.values) + 1}::bigint"
    # The place is looked up for the rows that are shown, after the limit; where all are, they are sorted once.
    whole = query.page.limit is None
    rows = f"{dataset.name} r" if whole else f"(SELECT r.* FROM {dataset.name} r WHERE {where} {limit}) r"
    sql = f"""
        WITH {placed}
        SELECT r.time, r.device, l.site, l.lon, l.lat, {own}, {_flag_words(dataset, query.properties)} AS flags
        FROM {rows} LEFT JOIN placed l ON l.device_id = r.device_id AND l.valid @> r.time
        {f"WHERE {where} {limit}" if whole else order}
    """
    return Selection(
        name=dataset.name,
        sql=sql,
        values=tuple(arguments.values),
        columns=(_TIME, _DEVICE, *_PLACE, *period, *map(property_column, query.properties), _FLAGS),
        limit=query.page.limit,
        cursor=partial(reading_cursor, query.window),
        about=about(dataset),
        span=(first, first + 1),
        descending=query.page.descending,
    )


async def latest(query: LatestQuery, database: Database) -> Selection:
    """For each device that is not retired, the newest value of each property, with the present place."""
    async with database.connection() as connection:
        ids = await device_ids(connection, query.places, None)
    arguments = Arguments()
    dataset, properties = query.dataset, query.properties
    placed = placements(Places(), ids, arguments)
    conditions = [_any_value(properties), *_where(query.where, arguments)]
    if ids is not None:
        conditions.append(f"r.device_id = ANY({arguments.add(ids, 'int[]')})")
    if query.page.after is not None:
        conditions.append(f"r.device > {arguments.add(query.page.after[1], 'text')}")
    times = ", ".join(f"r.{p.name}_time" for p in properties)
    sql = f"""
        WITH {placed}
        SELECT r.device, r.asked_time AS time, l.site, l.lon, l.lat, {_newest_columns(dataset, properties)}
        FROM (
            SELECT r.*, greatest({times}) AS asked_time
            FROM {dataset.name}_latest r WHERE coalesce(r.retired_at > now(), true) AND {" AND ".join(conditions)}
            ORDER BY r.device LIMIT ${len(arguments.values) + 1}::bigint
        ) r
        LEFT JOIN placed l ON l.device_id = r.device_id AND l.valid @> now()
        ORDER BY r.device
    """
    values = [c for p in properties for c in (property_column(p), Column(f"{p.name}_time", ColumnType.TIME))]
    period = (_PERIOD,) if dataset.interval else ()
    return Selection(
        name=f"{dataset.name}_latest",
        sql=sql,
        values=tuple(arguments.values),
        columns=(_DEVICE, _TIME, *_PLACE, *period, *values, _FLAGS),
        limit=query.page.limit,
        cursor=partial(name_cursor, "device"),
        about=about(dataset),
    )


def _reading_conditions(query: ReadingQuery, ids: list[int], arguments: Arguments) -> list[str]:
    start, end = (arguments.add(at, "timestamptz") for at in (query.window.start, query.window.end))
    conditions = [f"r.time >= {start}", f"r.time < {end}", _any_value(query.properties)]
    conditions.append(f"r.device_id = ANY({arguments.add(ids, 'int[]')})")
    if query.places.placed:
        conditions.append("EXISTS (SELECT FROM placed l WHERE l.device_id = r.device_id AND l.valid @> r.time)")
    conditions += _where(query.where, arguments)
    if query.page.after is not None:
        after, name = query.page.after
        time, device = arguments.add(after, "timestamptz"), arguments.add(name, "text")
        beyond = "<" if query.page.descending else ">"
        # The first half is for the index; the second decides among equal times.
        conditions += [f"r.time {beyond}= {time}", f"(r.time {beyond} {time} OR r.device {beyond} {device})"]
    return conditions


def _any_value(properties: tuple[Property, ...]) -> str:
    return f"({' OR '.join(f'r.{identifier(p.name)} IS NOT NULL' for p in properties)})"


def _where(conditions: tuple[Condition, ...], arguments: Arguments) -> list[str]:
    # The argument takes the column's type: as double precision 12.1 would equal no real.
    return [f"r.{identifier(c.property.name)} = {arguments.add(c.value, c.property.type.value)}" for c in conditions]


def _flag_words(dataset: Dataset, properties: tuple[Property, ...]) -> str:
    """The words of a row's flags as far as they concern it or the properties asked for; NULL where there are none."""
    flagged = [dataset.bit[p.name] for p in properties]
    coded = [dataset.bottom_bit[p.name] for p in properties if p.name in dataset.bottom_bit]
    row = [*coded, *map(int, ROW_FLAG_NAMES)]
    tests = [(f"r.flagged & {bit} <> 0", dataset.flag_names(bit, 0)) for bit in flagged]
    tests += [(f"r.flags & {bit} <> 0", dataset.flag_names(0, bit)) for bit in row]
    return f"CASE WHEN r.flagged & {sum(flagged)} <> 0 OR r.flags & {sum(row)} <> 0 THEN {_joined(tests)} END"


def _newest_columns(dataset: Dataset, properties: tuple[Property, ...]) -> str:
    """Values, their times, the period of the newest, and flags: each value's own, and the newest values' rows'."""
    columns = [f"r.{identifier(p.name)}, r.{p.name}_time" for p in properties]
    newest = {p.name: f"r.{p.name}_time = r.asked_time" for p in properties}
    if dataset.interval:
        periods = ", ".join(f"CASE WHEN {newest[p.name]} THEN r.{p.name}_period END" for p in properties)
        columns.append(f"coalesce({periods}) AS period")
    tests = [
        (f"r.{p.name}_flags & {VALUE_OUT_OF_RANGE} <> 0", dataset.flag_names(dataset.bit[p.name], 0))
        for p in properties
    ]
    tests += [
        (f"r.{p.name}_flags & {VALUE_BOTTOM_CODED} <> 0", dataset.flag_names(0, dataset.bottom_bit[p.name]))
        for p in properties
        if p.name in dataset.bottom_bit
    ]
    for bit, word in ROW_FLAG_NAMES.items():
        of_newest = [f"{newest[p.name]} AND r.{p.name}_flags & {int(bit)} <> 0" for p in properties]
        tests.append((" OR ".join(of_newest), [word]))
    any_flag = " | ".join(f"coalesce(r.{p.name}_flags, 0)" for p in properties)
    return ", ".join([*columns, f"CASE WHEN {any_flag} <> 0 THEN nullif({_joined(tests)}, '') END AS flags"])


def _joined(tests: list[tuple[str, list[str]]]) -> str:
    cases = ", ".join(f"CASE WHEN {test} THEN '{';'.join(names)}' END" for test, names in tests)
    return f"concat_ws(';', {cases})"
