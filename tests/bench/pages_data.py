"""A city to look at: 5,000 devices along streets, in mobility areas and in buildings, each with a newest value."""

from math import cos, radians, sin
from random import Random
from typing import Any

from usp.ingest.registry import publish_profiles
from usp.models.device import Device, Site
from usp.profiles import load_profiles
from usp.registry import bring_in_devices, bring_in_sites

#: Where it lies, and at which zoom all of it can be seen on 1000 by 700 pixels.
LON, LAT, ZOOM = 9.2, 45.45, 13.0
#: A street has so many bays and one lamppost, a mobility area so many charging points.
STREETS, BAYS, AREAS, POINTS, BUILDINGS = 260, 16, 70, 6, 160
DEVICES = STREETS * (BAYS + 1) + AREAS * POINTS + BUILDINGS
#: Degrees: how far it reaches to either side, and between two bays.
_WIDE, _HIGH, _STEP = 0.038, 0.018, 0.0002

_NEWEST = """
    INSERT INTO usp.parking_latest (device, received_at, occupied, occupied_time, occupied_flags)
    SELECT id, now(), id % 3 > 0, now(), 0 FROM usp.device WHERE kind = 'parking_sensor';
    INSERT INTO usp.charging_latest (device, received_at, status, status_time, status_flags)
    SELECT id, now(), (ARRAY['available', 'charging', 'finishing'])[1 + id % 3], now(), 0
    FROM usp.device WHERE kind = 'charging_point';
    INSERT INTO usp.air_quality_latest (device, received_at, pm2_5, pm2_5_time, pm2_5_flags)
    SELECT id, now(), id % 60, now(), 0 FROM usp.device WHERE kind = 'lamppost';
    INSERT INTO usp.energy_latest (device, received_at, active_power, active_power_time, active_power_flags)
    SELECT id, now(), id % 120 * 1000, now(), 0 FROM usp.device WHERE kind = 'energy_meter';
"""


async def build(connection: Any) -> list[tuple[float, float]]:
    """Fill a migrated database; returns where everything stands, as longitude and latitude."""
    sites, devices = city()
    await publish_profiles(connection, load_profiles())
    await bring_in_sites(connection, sites)
    await bring_in_devices(connection, devices)
    await connection.execute(_NEWEST)
    await connection.execute("ANALYZE")
    places = {site.name: (site.lon, site.lat) for site in sites}
    return [
        places[str(device.site)] if device.lon is None or device.lat is None else (device.lon, device.lat)
        for device in devices
    ]


def city() -> tuple[list[Site], list[Device]]:
    """The same city every time."""
    chance = Random(1)  # noqa: S311 - nothing secret
    sites: list[Site] = []
    devices: list[Device] = []

    def site(name: str) -> Site:
        made = Site(
            name=name,
            title=name.replace("-", " ").title(),
            lon=round(LON + chance.uniform(-_WIDE, _WIDE), 6),
            lat=round(LAT + chance.uniform(-_HIGH, _HIGH), 6),
        )
        sites.append(made)
        return made

    def stand(name: str, kind: str, where: Site, at: tuple[float, float], category: str | None = None) -> None:
        lon, lat = round(where.lon + at[0], 6), round(where.lat + at[1], 6)
        devices.append(Device(name=name, kind=kind, category=category, site=where.name, lon=lon, lat=lat))

    for n in range(STREETS):
        street, angle = site(f"street-{n}"), chance.uniform(0, 3.2)
        along = (_STEP * cos(angle), _STEP * sin(angle) * cos(radians(LAT)))
        for bay in range(BAYS):
            category = chance.choice(("logistics", "disabled", "no_parking"))
            off = bay - BAYS / 2
            stand(f"bay-{n}-{bay}", "parking_sensor", street, (off * along[0], off * along[1]), category)
        stand(f"lamp-{n}", "lamppost", street, (-along[1], along[0]))
    for n in range(AREAS):
        area = site(f"mobility-area-{n}")
        for point in range(POINTS):
            at = (point % 3 * _STEP / 2, point // 3 * _STEP / 2)
            stand(f"cp-{n}-{point}", "charging_point", area, at, "fast" if point < POINTS // 3 else "normal")
    for n in range(BUILDINGS):
        building = site(f"building-{n}")
        devices.append(Device(name=f"meter-{n}", kind="energy_meter", category="main", site=building.name))
    return sites, devices
