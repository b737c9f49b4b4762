"""The visible devices in memory, where they stand today, and which of them some places mean."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from usp.api.problems import UnknownName, nearest, shown
from usp.db import Connection
from usp.models.query import EARTH_RADIUS_M, BBox, Near, Places

# Joined here: before the registry's first ANALYZE PostgreSQL would go through all placements for each device.
_DEVICES = """
    SELECT id, name, kind, category, parent_id, coalesce(retired_at > now(), true) AS serving FROM device
"""
_PLACED = "SELECT device_id, site, lon, lat FROM placement WHERE valid @> now()"
_SITES = "SELECT name FROM site"
# Another device, place or site makes another sum, and so does time, where a placement begins or a service ends.
_FINGERPRINT = "SELECT " + " || ' ' || ".join(
    f"coalesce((SELECT sum(hashtextextended(r::text, 0))::text FROM ({rows}) r), '')"
    for rows in (_DEVICES, _PLACED, _SITES)
)


class Device(NamedTuple):
    """A device, whether it is in service, and its present place: site, lon and lat as far as they are known."""

    name: str
    kind: str
    category: str | None
    parent: int | None
    serving: bool
    place: dict[str, Any]


@dataclass(frozen=True)
class Registry:
    """Devices by their keys, and the names of sites."""

    devices: Mapping[int, Device]
    sites: frozenset[str]

    def check(self, places: Places) -> None:
        """Refuse names that no visible device or site has."""
        known: dict[str, Collection[str]] = {"device": self._keys, "site": self.sites}
        for what, names in (("device", places.devices), ("site", places.sites)):
            for name in names:
                if name not in known[what]:
                    suggestion = nearest(name.lower(), sorted(known[what]))
                    raise UnknownName(f"Unknown {what} {shown(name)}.", parameter=what, suggestion=suggestion)

    def meant(self, places: Places) -> frozenset[int] | None:
        """The devices that places mean today, None for all."""
        if places == Places():
            return None
        keys: Iterable[int] = self.devices
        if places.devices:
            keys = self._with_children(places.devices)
        elif (box := places.bbox) is not None and box.west <= box.east:
            # Maps ask for a box each, and after a restart thousands of them come again at once.
            keys, places = self._in_box(box), replace(places, bbox=None)
        return self.fitting(places, keys)

    def fitting(self, places: Places, keys: Iterable[int]) -> frozenset[int]:
        """Those of some devices that are of a kind and in a place that is asked for, whatever they are called."""
        devices = self.devices
        return frozenset(key for key in keys if key in devices and _fits(devices[key], places))

    def _in_box(self, box: BBox) -> list[int]:
        first = bisect_left(self._eastward, box.west, key=itemgetter(0))
        end = bisect_right(self._eastward, box.east, key=itemgetter(0))
        return [key for _, lat, key in self._eastward[first:end] if box.south <= lat <= box.north]

    def _with_children(self, names: tuple[str, ...]) -> set[int]:
        """The devices of these names; a parent stands for its children, and theirs."""
        found: set[int] = set()
        new = [self._keys[name] for name in names if name in self._keys]
        while new:
            found.update(new)
            new = [child for key in new for child in self._children.get(key, ()) if child not in found]
        return found

    @cached_property
    def _keys(self) -> dict[str, int]:
        return {device.name: key for key, device in self.devices.items()}

    @cached_property
    def _children(self) -> dict[int | None, list[int]]:
        children = defaultdict(list)
        for key, device in self.devices.items():
            children[device.parent].append(key)
        return children

    @cached_property
    def _eastward(self) -> list[tuple[float, float, int]]:
        """Longitude, latitude and key of all that are placed, from west to east."""
        placed = ((device.place.get("lon"), device.place.get("lat"), key) for key, device in self.devices.items())
        return sorted((lon, lat, key) for lon, lat, key in placed if lon is not None and lat is not None)


async def fingerprint(connection: Connection) -> str:
    """The same as long as the registry is."""
    return str(await connection.fetchval(_FINGERPRINT))


async def load(connection: Connection) -> tuple[str, Registry]:
    """Read the registry as the connection's role sees it, with its fingerprint."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await fingerprint(connection)
        rows, placed, sites = [await connection.fetch(sql) for sql in (_DEVICES, _PLACED, _SITES)]
    places = {r["device_id"]: {name: r[name] for name in ("site", "lon", "lat") if r[name] is not None} for r in placed}
    devices = {
        r["id"]: Device(r["name"], r["kind"], r["category"], r["parent_id"], r["serving"], places.get(r["id"], {}))
        for r in rows
    }
    return found, Registry(devices, frozenset(row["name"] for row in sites))


def _fits(device: Device, places: Places) -> bool:
    """Whether a device is of a kind and in a place that is asked for."""
    if (places.kinds and device.kind not in places.kinds) or (
        places.categories and device.category not in places.categories
    ):
        return False
    if not places.placed:
        return True
    place = device.place
    if places.sites and place.get("site") not in places.sites:
        return False
    if places.bbox is None and places.near is None:
        return True
    lon, lat = place.get("lon"), place.get("lat")
    if lon is None or lat is None:
        return False
    inside = places.bbox is None or _inside(places.bbox, lon, lat)
    return inside and (places.near is None or _close(places.near, lon, lat))


def _inside(box: BBox, lon: float, lat: float) -> bool:
    """As in SQL: edges included; west of east crosses the antimeridian."""
    east_of, west_of = lon >= box.west, lon <= box.east
    across = (east_of and west_of) if box.west <= box.east else (east_of or west_of)
    return across and box.south <= lat <= box.north


def _close(near: Near, lon: float, lat: float) -> bool:
    """As in SQL: by great circle (haversine)."""
    south, west = math.radians(lat - near.lat) / 2, math.radians(lon - near.lon) / 2
    along = math.cos(math.radians(near.lat)) * math.cos(math.radians(lat)) * math.sin(west) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(math.sin(south) ** 2 + along))) <= near.metres
