"""One dataset, device or site told in full: documents, not rows."""

from collections.abc import Iterable
from typing import Any

from usp.api.auth import Reader
from usp.api.extent import Extent
from usp.api.places import nearest_name
from usp.api.problems import NothingThere, shown
from usp.api.registry import datasets_of
from usp.db import Connection
from usp.models.dataset import Dataset, Property, Visibility
from usp.models.device import IDENTIFIER, KINDS

Document = dict[str, Any]

_DEVICE = """
    SELECT id, name AS device, nullif(title, '') AS title, kind, category, profile, parent, interval, max_hold,
        registered_at, retired_at
    FROM device WHERE name = $1
"""
_CHILDREN = "SELECT name FROM device WHERE parent_id = $1 ORDER BY name"
_PLACEMENTS = """
    SELECT site, lon, lat, approximate, lower(valid) AS "from", upper(valid) AS "to", valid @> now() AS current
    FROM placement WHERE device_id = $1 ORDER BY valid
"""
_SITE = """
    SELECT name AS site, nullif(title, '') AS title, nullif(address, '') AS address, lon, lat, approximate
    FROM site WHERE name = $1
"""
_SITE_DEVICES = """
    SELECT d.name FROM placement l JOIN device d ON d.id = l.device_id
    WHERE l.site = $1 AND l.valid @> now() AND coalesce(d.retired_at > now(), true) ORDER BY d.name
"""


async def datasets(chosen: Iterable[Dataset], reader: Reader) -> list[Document]:
    """Tell of datasets: properties, licence, and the extent of their visible readings."""
    listed = list(chosen)
    found = await reader.extents.of(listed)
    return [_dataset(d, found.get(d.name), reader.visibility) for d in listed]


async def device(name: str, reader: Reader) -> Document:
    """A device with its places over time, its relatives, and when each of its datasets was last heard of."""
    async with reader.database.connection() as connection:
        found = await _one(connection, "device", _DEVICE, name)
        key, kind = found.pop("id"), found["kind"]
        placements = [_some(row) for row in await connection.fetch(_PLACEMENTS, key)]
        children = [row["name"] for row in await connection.fetch(_CHILDREN, key)]
        listed = datasets_of(kind, reader.visibility)
        last = await _last_times(connection, listed, key)
    current = next((p for p in placements if p.pop("current")), None)
    for placement in placements:
        placement.pop("current", None)
    names = [{"dataset": n} | ({"last_time": last[n]} if last.get(n) else {}) for n in listed]
    return found | {
        "datasets": names,
        "place": current,
        "placements": placements,
        "children": children,
    }


async def site(name: str, reader: Reader) -> Document:
    """A site with the devices that stand there now."""
    async with reader.database.connection() as connection:
        found = await _one(connection, "site", _SITE, name)
        return found | {"devices": [row["name"] for row in await connection.fetch(_SITE_DEVICES, name)]}


async def _one(connection: Connection, what: str, sql: str, name: str) -> Document:
    row = await connection.fetchrow(sql, name) if IDENTIFIER.fullmatch(name) else None
    if row is None:
        suggestion = await nearest_name(connection, what, name)
        raise NothingThere(f"There is no {what} {shown(name)}.", suggestion)
    return _some(row)


async def _last_times(connection: Connection, names: Iterable[str], key: int) -> Document:
    sql = " UNION ALL ".join(
        f"SELECT '{name}' AS dataset, time FROM {name}_latest WHERE device_id = $1" for name in names
    )
    return {row["dataset"]: row["time"] for row in await connection.fetch(sql, key)}


def _dataset(dataset: Dataset, extent: Extent | None, seen: Visibility) -> Document:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "description": dataset.description,
        "licence": dataset.licence,
        "attribution": dataset.attribution,
        "kinds": [kind for kind in KINDS if dataset.name in datasets_of(kind, seen)],
        "interval": dataset.interval,
        "extent": None if extent is None else {"first": extent[0], "last": extent[1]},
        "properties": [_property(p) for p in dataset.visible(seen)],
    }


def _property(prop: Property) -> Document:
    bounds = {"min": prop.low, "max": prop.high}
    return _some(
        {
            "name": prop.name,
            "title": prop.title,
            "unit": prop.unit,
            "type": prop.type.value,
            "aggregation": prop.aggregation.value,
            "weight": prop.weight,
            "range": None if prop.low is None else bounds,
            "states": list(prop.states) or None,
        }
    )


def _some(row: Any) -> Document:
    return {name: value for name, value in row.items() if value is not None}
