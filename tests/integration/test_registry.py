"""The registry takes lists of sites and devices, keeps its history, and refuses what cannot be."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from usp.errors import RegistryError
from usp.ingest.registry import publish_profiles
from usp.models.device import Device, Site
from usp.models.profile import default_profile
from usp.registry import (
    MILAN,
    Changes,
    bring_in_devices,
    bring_in_sites,
    read_devices,
    read_sites,
)

LAMP = Device(name="lamp-1", kind="lamppost", profile="native-lamppost", site="square", lon=9.2, lat=45.4)
SQUARE = Site(name="square", title="Square", lon=9.2, lat=45.4)


@pytest.fixture
async def registry(db: Any) -> Any:
    """An empty registry with a profile and a site; what a test does to it is undone."""
    transaction = db.transaction()
    await transaction.start()
    await publish_profiles(db, {"native-lamppost": default_profile("lamppost")})
    await bring_in_sites(db, [SQUARE])
    yield db
    await transaction.rollback()


async def test_bringing_in_twice_changes_nothing(registry: Any) -> None:
    """A list may be brought in again at any time."""
    assert await bring_in_devices(registry, [LAMP]) == Changes(added=1)
    assert await bring_in_devices(registry, [LAMP]) == Changes(unchanged=1)
    assert await bring_in_sites(registry, [SQUARE]) == Changes(unchanged=1)


async def test_a_moved_device_keeps_its_old_place_for_old_readings(registry: Any) -> None:
    """The first place reaches back without end; a move closes it where the new one begins."""
    await bring_in_devices(registry, [LAMP])
    since = datetime(2025, 3, 1, tzinfo=UTC)
    assert await bring_in_devices(registry, [replace(LAMP, lon=9.3, since=since)]) == Changes(moved=1)
    places = await registry.fetch("SELECT lon, valid FROM usp.placement ORDER BY lower(valid) NULLS FIRST")
    assert [(p["lon"], p["valid"].lower, p["valid"].upper) for p in places] == [(9.2, None, since), (9.3, since, None)]
    with pytest.raises(RegistryError, match=r"since 2025-03-01.*must be later"):
        await bring_in_devices(registry, [replace(LAMP, lon=9.4, since=since)])


async def test_children_may_stand_before_their_parents_in_a_list(registry: Any) -> None:
    """The order of lines does not matter."""
    child = Device(name="lane-1", kind="lamppost", profile="native-lamppost", parent="lamp-1")
    assert await bring_in_devices(registry, [child, LAMP]) == Changes(added=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "nothing"}, "lamp-1: there is no profile 'nothing'"),
        ({"site": "nowhere"}, "lamp-1: there is no site 'nowhere'"),
        ({"parent": "nobody"}, "lamp-1: there is no device 'nobody' to be its parent"),
    ],
)
async def test_one_bad_line_leaves_the_registry_as_it_was(registry: Any, change: Any, message: str) -> None:
    """All of a list, or nothing of it."""
    with pytest.raises(RegistryError, match=message):
        await bring_in_devices(registry, [replace(LAMP, name="lamp-0"), replace(LAMP, **change)])
    assert await registry.fetchval("SELECT count(*) FROM usp.device") == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Lamp,lamppost,p,,,,", "line 2: device 'Lamp' is no identifier"),
        ("lamp-1,lamp,p,,,,", "line 2: lamp-1: kind 'lamp' is none of lamppost"),
        ("lamp-1,lamppost,p,fast,,,", "line 2: lamp-1: category 'fast' of a lamppost; it takes none"),
        ("lamp-1,lamppost,p,,45.4,,", "line 2: lamp-1: lon and lat go together"),
        ("lamp-1,lamppost,p,,45.4,99.2,", "line 2: lamp-1: lon 45.4, lat 99.2 is no position; are they swapped"),
        ("lamp-1,lamppost,p,,east,45,", "line 2: could not convert string to float: 'east'"),
        ("flat-1,energy_meter,p,dwelling,,,open", "line 2: flat-1: a dwelling's device may be restricted"),
        ("lamp-1,lamppost,p,,,,public", "line 2: 'public' is not a valid Visibility"),
        ("lamp-1,lamppost,p,,,,,more", "line 2: more fields than the header names"),
        ("lamp-1", "line 2: kind is missing"),
    ],
)
def test_a_bad_line_is_named(here: Path, line: str, message: str) -> None:
    """The error says which line, which device, and what would be right."""
    file = here / "devices.csv"
    file.write_text(f"name,kind,profile,category,lon,lat,visibility\n{line}\n")
    with pytest.raises(RegistryError, match=message):
        read_devices(file)


def test_the_demonstration_registry_is_whole() -> None:
    """Every device of the Milan district stands at one of its sites."""
    sites = {site.name for site in read_sites(MILAN / "sites.csv")}
    devices = read_devices(MILAN / "devices.csv")
    assert {device.site for device in devices} <= sites
    assert {device.parent for device in devices if device.parent} <= {device.name for device in devices}
