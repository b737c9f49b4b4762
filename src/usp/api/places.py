"""Which devices a request means: names, kinds and places become ids before any reading is touched."""

from collections.abc import Iterable

from usp.api.problems import UnknownName, nearest, shown
from usp.api.selection import Arguments
from usp.db import Connection
from usp.models.bucket import By
from usp.models.device import IDENTIFIER
from usp.models.query import EARTH_RADIUS_M, BBox, BucketQuery, Near, Places, TimeWindow

#: A parent stands for its children, and theirs: a charging station for its points and their connectors.
_WITH_CHILDREN = """
    WITH RECURSIVE asked AS (
        SELECT id, name FROM device WHERE name = ANY($1::text[])
        UNION SELECT d.id, d.name FROM device d JOIN asked a ON d.parent_id = a.id
    ) SELECT id, name FROM asked
"""


async def device_ids(connection: Connection, places: Places, window: TimeWindow | None) -> list[int] | None:
    """The devices that may be meant, None for all; by place, those that stood there at any time of the window.

    Without a window the place is today's.
    """
    if places == Places():
        return None
    arguments = Arguments()
    conditions = []
    if places.devices:
        conditions.append(f"d.id = ANY({arguments.add(await _named_devices(connection, places), 'int[]')})")
    if places.sites:
        await check_sites(connection, places.sites)
    if places.kinds:
        conditions.append(f"d.kind = ANY({arguments.add(list(places.kinds), 'text[]')})")
    if places.categories:
        conditions.append(f"d.category = ANY({arguments.add(list(places.categories), 'text[]')})")
    if at := placed(places, arguments):
        when = _when(window, arguments)
        conditions.append(f"EXISTS (SELECT FROM placement l WHERE l.device_id = d.id AND {when} AND {at})")
    sql = f"SELECT d.id FROM device d WHERE {' AND '.join(conditions)} ORDER BY d.id"
    return [row["id"] for row in await connection.fetch(sql, *arguments.values)]


def placed(places: Places, arguments: Arguments) -> str:
    """The condition on a placement `l`; empty where no place is asked for."""
    conditions = []
    if places.sites:
        conditions.append(f"l.site = ANY({arguments.add(list(places.sites), 'text[]')})")
    if places.bbox is not None:
        conditions.append(inside(places.bbox, "l", arguments))
    if places.near is not None:
        conditions.append(close(places.near, "l", arguments))
    return " AND ".join(conditions)


def where_it_counts(query: BucketQuery, arguments: Arguments) -> str:
    """The condition on a placement `l`: where it is asked for, and by site at one."""
    at_site = "l.site IS NOT NULL" if query.by is By.SITE else "true"
    return f"{at_site} AND {placed(query.places, arguments) or 'true'}"


def inside(box: BBox, table: str, arguments: Arguments) -> str:
    """Within the box, its edges included; a box whose west is east of its east crosses the antimeridian."""
    west, south, east, north = (arguments.add(value, "float8") for value in (box.west, box.south, box.east, box.north))
    either = "AND" if box.west <= box.east else "OR"
    return f"({table}.lon >= {west} {either} {table}.lon <= {east}) AND {table}.lat BETWEEN {south} AND {north}"


def close(near: Near, table: str, arguments: Arguments) -> str:
    """Within the distance by great circle (haversine, stable for small distances)."""
    lon, lat, metres = (arguments.add(value, "float8") for value in (near.lon, near.lat, near.metres))
    return (
        f"2 * {EARTH_RADIUS_M} * asin(least(1, sqrt(power(sind(({table}.lat - {lat}) / 2), 2) "
        f"+ cosd({lat}) * cosd({table}.lat) * power(sind(({table}.lon - {lon}) / 2), 2)))) <= {metres}"
    )


def placements(places: Places, ids: list[int] | None, arguments: Arguments) -> str:
    """The table expression `placed`: the asked placements, of all times.

    It is evaluated once, whatever the planner believes: before the registry's first ANALYZE it would take the join
    behind the view for one row, and go through it again for every reading. Its size is only guessed well without a
    condition on time; that one belongs to the join.
    """
    conditions = ["true"]
    if ids is not None:
        conditions.append(f"l.device_id = ANY({arguments.add(ids, 'int[]')})")
    if at := placed(places, arguments):
        conditions.append(at)
    return (
        "placed AS MATERIALIZED (SELECT l.device_id, l.site, l.lon, l.lat, l.approximate, l.valid "
        f"FROM placement l WHERE {' AND '.join(conditions)})"
    )


def _when(window: TimeWindow | None, arguments: Arguments) -> str:
    if window is None:
        return "l.valid @> now()"
    start, end = (arguments.add(value, "timestamptz") for value in (window.start, window.end))
    return f"l.valid && tstzrange({start}, {end})"


async def _named_devices(connection: Connection, places: Places) -> list[int]:
    rows = await connection.fetch(_WITH_CHILDREN, _identifiers(places.devices))
    found = {row["name"]: row["id"] for row in rows}
    for name in places.devices:
        if name not in found:
            raise await _unknown(connection, "device", name)
    return list(found.values())


async def check_sites(connection: Connection, names: tuple[str, ...]) -> None:
    """Refuse a name that no visible site has."""
    rows = await connection.fetch("SELECT name FROM site WHERE name = ANY($1::text[])", _identifiers(names))
    found = {row["name"] for row in rows}
    for name in names:
        if name not in found:
            raise await _unknown(connection, "site", name)


def _identifiers(names: Iterable[str]) -> list[str]:
    return [name for name in names if IDENTIFIER.fullmatch(name)]


async def _unknown(connection: Connection, what: str, name: str) -> UnknownName:
    suggestion = await nearest_name(connection, what, name)
    return UnknownName(f"Unknown {what} {shown(name)}.", parameter=what, suggestion=suggestion)


async def nearest_name(connection: Connection, what: str, name: str) -> str | None:
    """The visible device or site whose name is most like this one."""
    rows = await connection.fetch(f"SELECT name FROM {what} ORDER BY name LIMIT 5000")
    return nearest(name.lower(), [row["name"] for row in rows], cutoff=0.7)
