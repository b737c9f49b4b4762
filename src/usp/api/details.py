"""One dataset, device or site told in full: documents, not rows."""

from collections.abc import Iterable
from typing import Any

from usp.api.database import Database
from usp.api.extent import Extent, Extents
from usp.api.places import nearest_name
from usp.api.problems import NothingThere, shown
from usp.api.registry import open_datasets
from usp.db import Connection
from usp.models.dataset import Dataset, Property, Visibility
from usp.models.device import IDENTIFIER, KINDS

Document = dict[str, Any]

_DEVICE = """
    SELECT id, name AS device, nullif(title, '') AS title, kind, category, profile, parent, interval, registered_at,
        retired_at
    FROM open.device WHERE name = $1
"""
_CHILDREN = "SELECT name FROM open.device WHERE parent_id = $1 ORDER BY name"
_PLACEMENTS = """
    SELECT site, lon, lat, approximate, lower(valid) AS "from", upper(valid) AS "to", valid @> now() AS current
    FROM open.placement WHERE device_id = $1 ORDER BY valid
"""
_SITE = """
    SELECT name AS site, nullif(title, '') AS title, nullif(address, '') AS address, lon, lat, approximate
    FROM open.site WHERE name = $1
"""
_SITE_DEVICES = """
    SELECT d.name FROM open.placement l JOIN open.device d ON d.id = l.device_id
    WHERE l.site = $1 AND l.valid @> now() AND coalesce(d.retired_at > now(), true) ORDER BY d.name
"""


async def datasets(chosen: Iterable[Dataset], extents: Extents) -> list[Document]:
    """Tell of datasets: properties, licence, and the extent of their visible readings."""
    listed = list(chosen)
    found = await extents.of(listed)
    return [_dataset(d, found.get(d.name)) for d in listed]


async def device(name: str, database: Database) -> Document:
    """A device with its places over time, its relatives, and when each of its datasets was last heard of."""
    async with database.connection() as connection:
        found = await _one(connection, "device", _DEVICE, name)
        key, kind = found.pop("id"), found["kind"]
        placements = [_some(row) for row in await connection.fetch(_PLACEMENTS, key)]
        children = [row["name"] for row in await connection.fetch(_CHILDREN, key)]
        last = await _last_times(connection, kind, key)
    current = next((p for p in placements if p.pop("current")), None)
    for placement in placements:
        placement.pop("current", None)
    names = [{"dataset": n} | ({"last_time": last[n]} if last.get(n) else {}) for n in open_datasets(kind)]
    return found | {
        "datasets": names,
        "place": current,
        "placements": placements,
        "children": children,
    }


async def site(name: str, database: Database) -> Document:
    """A site with the devices that stand there now."""
    async with database.connection() as connection:
        found = await _one(connection, "site", _SITE, name)
        return found | {"devices": [row["name"] for row in await connection.fetch(_SITE_DEVICES, name)]}


async def _one(connection: Connection, what: str, sql: str, name: str) -> Document:
    row = await connection.fetchrow(sql, name) if IDENTIFIER.fullmatch(name) else None
    if row is None:
        suggestion = await nearest_name(connection, what, name)
        raise NothingThere(f"There is no {what} {shown(name)}.", suggestion)
    return _some(row)


async def _last_times(connection: Connection, kind: str, key: int) -> Document:
    sql = " UNION ALL ".join(
        f"SELECT '{name}' AS dataset, time FROM open.{name}_latest WHERE device_id = $1" for name in open_datasets(kind)
    )
    return {row["dataset"]: row["time"] for row in await connection.fetch(sql, key)}


def _dataset(dataset: Dataset, extent: Extent | None) -> Document:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "description": dataset.description,
        "licence": dataset.licence,
        "attribution": dataset.attribution,
        "kinds": [kind for kind in KINDS if dataset.name in open_datasets(kind)],
        "interval": dataset.interval,
        "extent": None if extent is None else {"first": extent[0], "last": extent[1]},
        "properties": [_property(p) for p in dataset.visible(Visibility.OPEN)],
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
