"""Devices and sites of the registry, as lists."""

from functools import partial

from usp.api.auth import Reader
from usp.api.paging import name_cursor
from usp.api.places import check_sites, close, device_ids, inside, placements
from usp.api.selection import Arguments, Column, ColumnType, Selection
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.query import Page, Places

_TEXT, _NUMBER, _BOOLEAN = ColumnType.TEXT, ColumnType.NUMBER, ColumnType.BOOLEAN

DEVICE_COLUMNS = (
    Column("device", _TEXT),
    Column("title", _TEXT),
    Column("kind", _TEXT),
    Column("category", _TEXT),
    Column("parent", _TEXT),
    Column("site", _TEXT),
    Column("lon", _NUMBER),
    Column("lat", _NUMBER),
    Column("approximate", _BOOLEAN),
    Column("interval", _NUMBER),
    Column("max_hold", _NUMBER),
    Column("retired_at", ColumnType.TIME),
    Column("datasets", ColumnType.LIST),
)

SITE_COLUMNS = (
    Column("site", _TEXT),
    Column("title", _TEXT),
    Column("address", _TEXT),
    Column("lon", _NUMBER),
    Column("lat", _NUMBER),
    Column("approximate", _BOOLEAN),
    Column("devices", _NUMBER),
)


def datasets_of(kind: str, seen: Visibility) -> tuple[str, ...]:
    """The datasets a kind of device reports, as far as they are seen."""
    return tuple(name for name in KINDS[kind].datasets if DATASETS[name].visible(seen))


_DEVICES = """
    SELECT d.name AS device, nullif(d.title, '') AS title, d.kind, d.category, d.parent, l.site, l.lon, l.lat,
        l.approximate, d.interval, d.max_hold, d.retired_at, {datasets} AS datasets
    FROM device d LEFT JOIN placed l ON l.device_id = d.id AND l.valid @> now()
"""

_SITES = """
    SELECT s.name AS site, nullif(s.title, '') AS title, nullif(s.address, '') AS address, s.lon, s.lat,
        s.approximate, (SELECT count(*) FROM placement l JOIN device d ON d.id = l.device_id
            WHERE l.site_id = s.id AND l.valid @> now() AND coalesce(d.retired_at > now(), true)) AS devices
    FROM site s
"""


async def devices(places: Places, page: Page, reader: Reader) -> Selection:
    """Devices in the order of their names, where they stand now."""
    async with reader.database.connection() as connection:
        ids = await device_ids(connection, places, None)
    arguments = Arguments()
    listed = " ".join(f"WHEN '{kind}' THEN '{';'.join(datasets_of(kind, reader.visibility))}'" for kind in KINDS)
    rows = _DEVICES.format(datasets=f"CASE d.kind {listed} END")
    sql = f"WITH {placements(Places(), ids, arguments)} {rows}"
    conditions = []
    if ids is not None:
        conditions.append(f"d.id = ANY({arguments.add(ids, 'int[]')})")
    return _listed("devices", sql, "d", DEVICE_COLUMNS, conditions, arguments, page)


async def sites(places: Places, page: Page, reader: Reader) -> Selection:
    """Sites where visible devices stand or stood, in the order of their names."""
    arguments = Arguments()
    conditions = []
    if places.sites:
        async with reader.database.connection() as connection:
            await check_sites(connection, places.sites)
        conditions.append(f"s.name = ANY({arguments.add(list(places.sites), 'text[]')})")
    if places.bbox is not None:
        conditions.append(inside(places.bbox, "s", arguments))
    if places.near is not None:
        conditions.append(close(places.near, "s", arguments))
    return _listed("sites", _SITES, "s", SITE_COLUMNS, conditions, arguments, page)


def _listed(
    name: str,
    sql: str,
    table: str,
    columns: tuple[Column, ...],
    conditions: list[str],
    arguments: Arguments,
    page: Page,
) -> Selection:
    conditions = ["true", *conditions]
    if page.after is not None:
        conditions.append(f"{table}.name > {arguments.add(page.after[1], 'text')}")
    return Selection(
        name=name,
        sql=f"{sql} WHERE {' AND '.join(conditions)} ORDER BY {table}.name LIMIT ${len(arguments.values) + 1}::bigint",
        values=tuple(arguments.values),
        columns=columns,
        limit=page.limit,
        cursor=partial(name_cursor, columns[0].name),
    )
