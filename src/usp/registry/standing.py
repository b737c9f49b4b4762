"""The registry as the database holds it, read in one go: a list of a thousand devices asks nothing row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from usp.db import Connection
from usp.ingest.bridges.bridge import Sender
from usp.models.dataset import Visibility
from usp.registry.addresses import address_text
from usp.registry.tenures import Tenure, Tenures

#: What a device is, whatever its place and address.
BASICS = ("name", "title", "kind", "category", "profile", "parent", "visibility", "retired_at")


class Place(NamedTuple):
    """Where a device stands, and since when; None is for ever."""

    key: int
    site: str | None
    lon: float | None
    lat: float | None
    approximate: bool
    since: datetime | None


@dataclass(frozen=True)
class Standing:
    """All that a list of devices is held against."""

    #: name -> BASICS
    devices: Mapping[str, Mapping[str, Any]]
    #: name -> the place that has no end
    places: Mapping[str, Place]
    tenures: Tenures
    #: Site names, and profiles with the kind of device they are for.
    sites: frozenset[str]
    profiles: Mapping[str, str]
    now: datetime


async def read_standing(connection: Connection) -> Standing:
    """Everything as it is now."""
    devices = await connection.fetch(
        "SELECT d.name, d.title, d.kind, d.category, d.profile, p.name AS parent, d.visibility, d.retired_at "
        "FROM usp.device d LEFT JOIN usp.device p ON p.id = d.parent ORDER BY d.name"
    )
    places = await connection.fetch(
        "SELECT d.name AS device, l.id, s.name AS site, l.lon, l.lat, l.approximate, lower(l.valid) AS since "
        "FROM usp.placement l JOIN usp.device d ON d.id = l.device LEFT JOIN usp.site s ON s.id = l.site "
        "WHERE upper_inf(l.valid)"
    )
    tenures = await connection.fetch(
        "SELECT a.id, a.network, a.address, d.name AS device, lower(a.valid) AS since, upper(a.valid) AS until "
        "FROM usp.device_address a JOIN usp.device d ON d.id = a.device ORDER BY a.valid"
    )
    return Standing(
        devices={d["name"]: dict(d) | {"visibility": Visibility(d["visibility"])} for d in devices},
        places={p["device"]: Place(*list(p)[1:]) for p in places},
        tenures=Tenures(
            Tenure(t["id"], Sender(t["network"], t["address"]), t["device"], t["since"], t["until"]) for t in tenures
        ),
        sites=frozenset(r["name"] for r in await connection.fetch("SELECT name FROM usp.site")),
        profiles={r["name"]: r["kind"] for r in await connection.fetch("SELECT name, kind FROM usp.profile")},
        # The clock, not the transaction's beginning: two changes in one transaction come one after the other.
        now=await connection.fetchval("SELECT clock_timestamp()"),
    )


async def export_devices(connection: Connection) -> list[dict[str, Any]]:
    """All devices as they stand, as their files have them."""
    standing = await read_standing(connection)
    rows = []
    for name, device in standing.devices.items():
        place = standing.places.get(name)
        current = standing.tenures.current(name)
        rows.append(
            dict(device)
            | {
                "site": place and place.site,
                "lon": place and place.lon,
                "lat": place and place.lat,
                "approximate": place is not None and place.approximate,
                "address": address_text(current[-1].sender) if current else None,
                "visibility": str(device["visibility"]),
                "retired_at": device["retired_at"] and device["retired_at"].isoformat(),
            }
        )
    return rows
