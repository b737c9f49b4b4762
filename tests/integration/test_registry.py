"""The registry takes lists of sites and devices, keeps its history, and refuses what cannot be."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from usp.errors import RegistryError
from usp.ingest.bridges.bridge import Sender
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
from usp.registry.addresses import address_text, parse_address
from usp.registry.devices import bring_in_device_records
from usp.registry.lifecycle import move, restore, retire
from usp.registry.lifecycle import replace as replace_hardware
from usp.registry.outcome import Record

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
        ("lamp-1,lamp,p,,,,", "line 2: kind 'lamp' is none of lamppost"),
        ("lamp-1,lamppost,p,fast,,,", "line 2: category 'fast' of a lamppost; it takes none"),
        ("meter-1,energy_meter,p,fast,,,", "line 2: category 'fast' of an energy_meter; it takes main"),
        ("lamp-1,lamppost,p,,45.4,,", "line 2: lon and lat go together"),
        ("lamp-1,lamppost,p,,45.4,99.2,", "line 2: lon 45.4, lat 99.2 is no position; are they swapped"),
        ("lamp-1,lamppost,p,,east,45,", "line 2: 'east' is no number; degrees are written 9.1897"),
        ("flat-1,energy_meter,p,dwelling,,,open", "line 2: a dwelling's device may be restricted"),
        ("lamp-1,lamppost,p,,,,public", "line 2: 'public' is none of open, restricted, ops"),
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


# Addresses

EUI_1, EUI_2 = "a84041ffff000001", "a84041ffff000002"
T1, T2 = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)


async def tenures(db: Any, device: str) -> list[tuple[Any, ...]]:
    """A device's addresses with their times, oldest first."""
    rows = await db.fetch(
        "SELECT network, address, valid FROM usp.device_address a JOIN usp.device d ON d.id = a.device "
        "WHERE d.name = $1 ORDER BY lower(valid) NULLS FIRST",
        device,
    )
    return [(r["network"], r["address"], r["valid"].lower, r["valid"].upper) for r in rows]


@pytest.mark.parametrize(
    ("text", "network", "address", "written"),
    [
        ("A8-40-41-FF-FF-00-00-01", "lorawan", EUI_1, EUI_1),
        ("a8:40:41:ff:ff:00:00:01", "lorawan", EUI_1, EUI_1),
        (" A84041 FFFF 000001 ", "lorawan", EUI_1, EUI_1),
        ("A8.40.41.FF.FF.00.00.01", "lorawan", EUI_1, EUI_1),
        ("A84041FF_FF000001", "lorawan", EUI_1, EUI_1),
        ("0xA84041FFFF000001", "lorawan", EUI_1, EUI_1),
        ("lorawan:0XA84041FFFF000001", "lorawan", EUI_1, EUI_1),
        ("LoRaWAN:A84041FFFF000001", "lorawan", EUI_1, EUI_1),
        # A spreadsheet would make 7.07696E+15 of the first and 0 of the second.
        ("7076960000001234", "lorawan", "7076960000001234", "lorawan:7076960000001234"),
        ("00000000000000e1", "lorawan", "00000000000000e1", "lorawan:00000000000000e1"),
        ("things_stack:parking/bay-1", "things_stack", "parking/bay-1", "things_stack:parking/bay-1"),
        ("Sensor_17", "", "Sensor_17", "Sensor_17"),
        ("native:A84041FFFF000001", "", "A84041FFFF000001", "native:A84041FFFF000001"),
        ("native:A84041FFFF", "", "A84041FFFF", "native:A84041FFFF"),
        ("cafe_1", "", "cafe_1", "cafe_1"),
        ("Facade_lamps_17", "", "Facade_lamps_17", "Facade_lamps_17"),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, network: str, address: str, written: str) -> None:
    """In any case and with any separators; what is written out is read as the same."""
    sender = parse_address(text)
    assert (sender, address_text(sender)) == (Sender(network, address), written)
    assert parse_address(written) == sender


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7.07696E+15", "a spreadsheet has made a number of it"),
        ("7,07696E+15", "a spreadsheet has made a number of it"),
        ("1.23456789012E+10", "a spreadsheet has made a number of it"),
        ("1.234567890123E12", "a spreadsheet has made a number of it"),
        ("A8-40-41-FF-FF-00-00", "has 14 of 16 hexadecimal digits; write native:A8-40-41-FF-FF-00-00 if it is a name"),
        ("A84041FFFF", "is no devEUI: it has 10 of 16 hexadecimal digits"),
        ("0xA84041FFFF00000", "is no devEUI: it has 15 of 16 hexadecimal digits"),
        (
            "A84041FFFF00000G",
            "is no devEUI: 'G' is no hexadecimal digit; write native:A84041FFFF00000G if it is a name",
        ),
        ("lorawan:bay-1", "is no devEUI"),
        ("thing_stack:a/b", "did you mean things_stack"),
        ("parking/bay-1", "it is things_stack:parking/bay-1"),
        ("things_stack:bay-1", "things_stack:application/device"),
        ("usp/+/up", "is no address"),
        ("native:", "is no address"),
        ("x" * 201, "200 are the most"),
    ],
)
def test_what_is_no_address_is_told(text: str, message: str) -> None:
    """The error says what would be one."""
    with pytest.raises(ValueError, match=message):
        parse_address(text)


async def test_a_first_address_reaches_back_without_end(registry: Any) -> None:
    """So that frames that waited are the device's; giving the address again changes nothing."""
    device = replace(LAMP, address="A8-40-41-FF-FF-00-00-01")
    assert await bring_in_devices(registry, [device]) == Changes(added=1)
    assert await bring_in_devices(registry, [replace(LAMP, address=EUI_1)]) == Changes(unchanged=1)
    assert await bring_in_devices(registry, [LAMP]) == Changes(unchanged=1)
    assert await tenures(registry, "lamp-1") == [("lorawan", EUI_1, None, None)]


async def test_another_address_is_a_swap_of_hardware(registry: Any) -> None:
    """The old one ends when the new one begins; going back to the old one is a third time."""
    await bring_in_devices(registry, [replace(LAMP, address=EUI_1)])
    assert await bring_in_devices(registry, [replace(LAMP, address=EUI_2, since=T1)]) == Changes(swapped=1)
    with pytest.raises(RegistryError, match=r"another address since 2025-03-01.*must be later"):
        await bring_in_devices(registry, [replace(LAMP, address=EUI_1, since=T1)])
    await bring_in_devices(registry, [replace(LAMP, address=EUI_1, since=T2)])
    assert await tenures(registry, "lamp-1") == [
        ("lorawan", EUI_1, None, T1),
        ("lorawan", EUI_2, T1, T2),
        ("lorawan", EUI_1, T2, None),
    ]


async def test_an_address_that_another_device_has_is_refused(registry: Any) -> None:
    """The error names that device. In one list two devices may change addresses with each other."""
    one, two = replace(LAMP, address=EUI_1), replace(LAMP, name="lamp-2", address=EUI_2)
    await bring_in_devices(registry, [one, two])
    with pytest.raises(RegistryError, match=f"lamp-3: {EUI_1} is the address of lamp-1; retire it"):
        await bring_in_devices(registry, [replace(LAMP, name="lamp-3", address=EUI_1)])
    swapped = [replace(one, address=EUI_2, since=T1), replace(two, address=EUI_1, since=T1)]
    assert await bring_in_devices(registry, swapped) == Changes(swapped=2)
    assert await tenures(registry, "lamp-2") == [("lorawan", EUI_2, None, T1), ("lorawan", EUI_1, T1, None)]
    # What has ended with another device begins there, whatever is older.
    await bring_in_devices(registry, [replace(one, address="things_stack:a/b", since=T2)])
    await bring_in_devices(registry, [replace(LAMP, name="lamp-3", address=EUI_2)])
    assert await tenures(registry, "lamp-3") == [("lorawan", EUI_2, T2, None)]


async def test_a_retired_device_yields_its_address(registry: Any) -> None:
    """Until then it keeps it, so that what it still sends is refused under its name."""
    await bring_in_devices(registry, [replace(LAMP, address=EUI_1)])
    await retire(registry, "lamp-1", T1)
    assert await tenures(registry, "lamp-1") == [("lorawan", EUI_1, None, None)]
    with pytest.raises(RegistryError, match="is the address of lamp-1"):
        await bring_in_devices(registry, [replace(LAMP, name="lamp-2", address=EUI_1, since=T1.replace(month=2))])
    await bring_in_devices(registry, [replace(LAMP, name="lamp-2", address=EUI_1)])
    assert await tenures(registry, "lamp-1") == [("lorawan", EUI_1, None, T1)]
    assert await tenures(registry, "lamp-2") == [("lorawan", EUI_1, T1, None)]


async def test_a_name_is_nobody_elses_address(registry: Any) -> None:
    """One's own name needs no address; another device's name is none, and an address in use is no name."""
    await bring_in_devices(registry, [replace(LAMP, address="lamp-1"), replace(LAMP, name="lamp-2", address="old-2")])
    assert await tenures(registry, "lamp-1") == []
    with pytest.raises(RegistryError, match="lamp-3: lamp-1 is the name of another device"):
        await bring_in_devices(registry, [replace(LAMP, name="lamp-3", address="lamp-1")])
    with pytest.raises(RegistryError, match="lamp-2 publishes under the name 'old-2'"):
        await bring_in_devices(registry, [replace(LAMP, name="old-2")])


# One device


async def test_a_device_is_replaced_moved_retired_and_restored(registry: Any) -> None:
    """Each says what changes; doing it again changes nothing."""
    await bring_in_devices(registry, [replace(LAMP, address=EUI_1)])
    assert (await replace_hardware(registry, "lamp-1", EUI_2, T1)).detail == f"address: {EUI_1} -> {EUI_2}"
    assert (
        await move(registry, "lamp-1", {"lon": 9.3, "lat": 45.4}, T1)
    ).detail == "site: square -> nothing; lon: 9.2 -> 9.3"
    assert (await move(registry, "lamp-1", {"lon": 9.3, "lat": 45.4})).what == "unchanged"
    assert (await retire(registry, "lamp-1", T2)).detail == f"retired_at: nothing -> {T2.isoformat()}"
    assert (await retire(registry, "lamp-1")).what == "unchanged"
    assert (await restore(registry, "lamp-1")).what == "changed"
    with pytest.raises(RegistryError, match="no device 'lamp-11', did you mean 'lamp-1'"):
        await retire(registry, "lamp-11")


async def test_a_correction_leaves_no_trace_of_the_old_place(registry: Any) -> None:
    """A device that never stood where its row said has not moved."""
    await bring_in_devices(registry, [LAMP])
    outcome = await move(registry, "lamp-1", {"site": "square", "lon": 9.25, "lat": 45.4}, correct=True)
    assert (outcome.what, outcome.detail) == ("changed", "lon: 9.2 -> 9.25")
    places = await registry.fetch("SELECT lon, valid FROM usp.placement")
    assert [(p["lon"], p["valid"].lower, p["valid"].upper) for p in places] == [(9.25, None, None)]


@pytest.mark.parametrize("name", ["Bad_Name", "air e1", "x", ""])
async def test_a_row_with_a_wrong_name_is_refused_and_not_passed_over(registry: Any, name: str) -> None:
    """Also where nobody has looked at its columns before."""
    report = await bring_in_device_records(registry, [Record("", {"name": name, "kind": "lamppost"})])
    assert [(outcome.what, outcome.mistakes[0].column) for outcome in report.outcomes] == [("refused", "name")]
    with pytest.raises(RegistryError, match=r"no identifier|name is missing"):
        report.require()
