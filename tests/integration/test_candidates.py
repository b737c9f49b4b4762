"""An unseen device goes from its first frame to published readings with two commands, and no frame is lost."""

import asyncio
import base64
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
import pytest
import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from tests.integration.test_ingest import eventually, running

from usp.approval import QUIET_S, Waiting, approve, slug, take_up
from usp.candidates import candidates
from usp.db import WRITER_ROLE, connect
from usp.embedded import Mosquitto
from usp.errors import RegistryError
from usp.ingest.registry import publish_profiles
from usp.ingest.replay import Replayer
from usp.ingest.worker import Worker
from usp.models.device import Device, Site
from usp.models.profile import DeviceProfile, PartRule
from usp.models.rejection import Progress, RejectionFilter
from usp.profiles import load_codecs, load_profiles
from usp.registry import bring_in_devices, bring_in_sites

PROFILES = load_profiles()
CODECS = load_codecs(PROFILES)
WAITS = "SELECT EXISTS (SELECT FROM usp.rejection WHERE address = $1)"
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """The worker beside the command, and the replay in it, must not speak into its output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usp.log.configure_logging", lambda _: None)
        yield
    structlog.reset_defaults()


@pytest.fixture(scope="module", autouse=True)
async def worker(database_url: str, broker: Mosquitto, db: Any) -> AsyncIterator[Worker]:
    """A running worker that knows nobody."""
    await publish_profiles(db, PROFILES)
    await bring_in_sites(db, [Site(name="square", title="Square", lon=9.2, lat=45.4)])
    async with running(database_url, broker.url, PROFILES, CODECS) as started:
        yield started


@pytest.fixture(scope="module")
async def publish(broker: Mosquitto) -> AsyncIterator[Callable[[str, Any], None]]:
    """A client that publishes with QoS 1."""
    client = Client(CallbackAPIVersion.VERSION2)
    await asyncio.to_thread(client.connect, "127.0.0.1", broker.port)
    client.loop_start()

    def publish(topic: str, message: Any) -> None:
        client.publish(topic, orjson.dumps(message), qos=1)

    yield publish
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)


@pytest.fixture
def replayer(database_url: str) -> Replayer:
    """Takes up what waits."""
    return Replayer(database_url, PROFILES, CODECS)


def native(number: int) -> tuple[str, dict[str, Any]]:
    """A parking sensor that speaks for itself."""
    return "usp/v1/bay-new-1/up", {"time": (START + timedelta(seconds=number)).isoformat(), "occupied": number % 2 == 0}


def chirpstack(eui: str, number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    """An uplink of a sensor behind ChirpStack."""
    at = START + timedelta(seconds=number)
    return f"application/6a3d/device/{eui}/event/up", {
        "deduplicationId": f"3ac7e3c4-4401-4b8d-9386-{number:012d}",
        "time": at.isoformat(),
        "deviceInfo": {
            "devEui": eui, "deviceName": "Stallo Città 7", "applicationName": "Parcheggi",
            "deviceProfileName": "Bosch TPS110", "tags": {"via": "Bligny"},
        },
        "fCnt": number,
        "fPort": 1,
        "data": base64.b64encode(bytes([number % 2])).decode(),
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 7.5}],
        **more,
    }  # fmt: skip


def waiting(db: Any, address: str, reason: str = "unknown_device") -> Callable[[], Any]:
    """How many frames of an address wait."""
    query = "SELECT count(*) FROM usp.rejection WHERE address = $1 AND reason = $2 AND resolved_at IS NULL"
    return lambda: db.fetchval(query, address, reason)


def stored(db: Any, device: str) -> Callable[[], Any]:
    """How many readings of a device are published."""
    query = "SELECT count(*) FROM open.parking WHERE device = $1"
    return lambda: db.fetchval(query, device)


async def keep_sending(publish: Any, message: Callable[[int], tuple[str, Any]], numbers: range) -> None:
    """About a hundred messages a second."""
    began = time.monotonic()
    for count, number in enumerate(numbers):
        publish(*message(number))
        await asyncio.sleep(max(0.0, began + (count + 1) * 0.01 - time.monotonic()))


@pytest.mark.parametrize(
    ("address", "message", "name"),
    [
        ("bay-new-1", native, "bay-new-1"),
        ("a84041ffff000077", lambda number: chirpstack("a84041ffff000077", number), "stallo-citta-7"),
    ],
    ids=["native", "chirpstack"],
)
async def test_no_frame_is_lost_on_the_way_to_approval(
    usp: Any, publish: Any, db: Any, address: str, message: Any, name: str
) -> None:
    """Fifty frames come before, two hundred while the command runs; in the end each stands once, and none waits."""
    for number in range(50):
        publish(*message(number))
    await eventually(waiting(db, address), 50)
    status, output = await usp("devices", "candidates")
    (row,) = [line.split("\t") for line in output.splitlines() if line.startswith(f"{address}\t")]
    assert (status, row[5]) == (0, "50")
    profile = row[8].split(" ", 1)[0]
    sending = asyncio.create_task(keep_sending(publish, message, range(50, 250)))
    await asyncio.sleep(0.2)
    status, output = await usp("devices", "approve", address, "--profile", profile, "--site", "square")
    assert (status, output.splitlines()[0]) == (
        0,
        f"{name} is registered: a parking_sensor with profile {profile}, open; it speaks as {address}.",
    )
    assert " taken up." in output
    await sending
    await eventually(stored(db, name), 250)
    assert await waiting(db, address)() == 0
    (total,) = await db.fetchrow(
        "SELECT sum(CASE what WHEN 'received' THEN count WHEN 'stored' THEN -count WHEN 'duplicate' THEN -count "
        "WHEN 'rejected' THEN -count ELSE 0 END)::bigint FROM usp.ingest_total"
    )
    assert total == 0
    status, output = await usp("devices", "approve", address, "--profile", profile, "--site", "square")
    assert (status, output.splitlines()[1]) == (0, "Nothing waited.")
    assert f"{name} is already registered" in output
    status, output = await usp("devices", "approve", address, "--profile", "native-lamppost")
    assert status == 1
    assert f"registered already, as {name} with profile {profile}, not native-lamppost" in output


async def test_a_candidate_shows_all_that_is_known(usp: Any, publish: Any, db: Any) -> None:
    """The network's own names, what was sent, and the profiles that would understand it."""
    eui = "a84041ffff0000c1"
    topic, message = chirpstack(eui, 1)
    publish(topic, message)
    publish(*chirpstack("a84041ffff0000c2", 1, object={"laeq": 61.5, "temperature": 20, "lamp": 3}))
    publish("usp/v1/Sensor_17/up", {"time": 1772359200, "occupied": True})
    publish("v3/parking@tenant/devices/bay-9/up", {
        "end_device_ids": {"device_id": "bay-9", "application_ids": {"application_id": "parking"}},
        "received_at": "2026-03-01T10:00:00Z",
        "uplink_message": {"f_port": 2, "frm_payload": "AQ==", "received_at": "2026-03-01T10:00:00Z",
                           "version_ids": {"brand_id": "bosch", "model_id": "tps110"}},
    })  # fmt: skip
    await eventually(waiting(db, "parking/bay-9"), 1)
    status, output = await usp("devices", "candidates", "--json")
    found = {c["address"]: c for c in orjson.loads(output)}
    assert status == 0
    by_bytes = found[eui]
    assert {name: by_bytes[name] for name in ("network", "doors", "waiting", "not_kept", "name", "application")} == {
        "network": "lorawan", "doors": ["chirpstack"], "waiting": 1, "not_kept": 0, "name": "Stallo Città 7",
        "application": "Parcheggi",
    }  # fmt: skip
    assert (by_bytes["model"], by_bytes["tags"]) == ("Bosch TPS110", {"via": "Bligny"})
    assert (by_bytes["port"], by_bytes["payload"], by_bytes["fields"]) == (1, "01", None)
    assert by_bytes["suggestions"][0]["profile"] == "bosch-tps110"
    decoded = found["a84041ffff0000c2"]
    assert decoded["fields"] == {"laeq": 61.5, "temperature": 20, "lamp": 3}
    assert all(s["fields"] == 3 for s in decoded["suggestions"])
    assert found["Sensor_17"]["suggestions"][0] == {"profile": "native-parking-sensor", "known": 1, "fields": 1}
    assert found["things_stack:parking/bay-9"]["model"] == "bosch tps110"
    status, output = await usp("devices", "candidates")
    rows = [line.split("\t") for line in output.splitlines()]
    assert rows[0][-1] == "tags"
    assert {row[0]: row[-1] for row in rows}[eui] == "via=Bligny"
    assert "port 1: 01" in output
    assert "laeq=61.5 temperature=20 lamp=3" in output


async def test_what_stays_refused_is_told(usp: Any, publish: Any, db: Any) -> None:
    """Approval stores what it can, and says of the rest why not."""
    for item in (
        {"time": 1772359200, "occupied": True},
        {"time": 1772359201, "level": 7},
        {"occupied": False, "time": 0},
    ):
        publish("usp/v1/bay-new-2/up", item)
    await eventually(waiting(db, "bay-new-2"), 3)
    status, output = await usp("devices", "approve", "bay-new-2", "--profile", "native-parking-sensor")
    assert status == 0
    assert "3 items had waited: 1 taken up; 2 stay refused: 1 no_known_field, 1 too_old." in output


async def test_a_name_that_cannot_be_ours_becomes_another(usp: Any, publish: Any, db: Any) -> None:
    """A sensor whose topic is no identifier is approved too, and speaks for the device under its own name."""
    topic = "usp/v1/Sensor_99/up"
    publish(topic, {"time": 1772359200, "occupied": True})
    await eventually(waiting(db, "Sensor_99"), 1)
    status, output = await usp("devices", "approve", "Sensor_99", "--profile", "native-parking-sensor")
    assert status == 0, output
    await eventually(stored(db, "sensor-99"), 1)
    publish(topic, {"time": 1772359260, "occupied": False})
    await eventually(stored(db, "sensor-99"), 2)


@pytest.mark.parametrize(
    ("address", "words", "message"),
    [
        ("a84041ffff0000dd", (), "Nothing waits from 'a84041ffff0000dd'"),
        ("bay-new-3", ("--name", "bay-3"), "speaks under its own name; leave the name out"),
        ("bay-new-3", ("--profile", "native-parking"), "no profile 'native-parking', did you mean"),
        ("bay-new-3", ("--site", "nowhere"), "there is no site 'nowhere'"),
        ("bay-new-3", ("--lon", "9.2"), "lon and lat go together"),
        ("bay-new-3", ("--kind", "lamppost"), "is for a parking_sensor, and this is a lamppost"),
        ("bay-new-3", ("--kind", "indoor_sensor"), "is for a parking_sensor, and this is an indoor_sensor"),
        ("A84041FFFF0000D1", ("--name", "Bad_Name"), "device 'Bad_Name' is no identifier"),
        ("A84041FFFF0000D1", ("--name", "air e1"), "device 'air e1' is no identifier"),
        ("A84041FFFF0000D1", ("--name", "taken"), "`usp devices replace taken --address a84041ffff0000d1` gives it"),
    ],
)
async def test_an_approval_that_cannot_be_is_told_why(
    usp: Any, publish: Any, db: Any, address: str, words: tuple[str, ...], message: str
) -> None:
    """Nothing is registered then, and everything goes on waiting."""
    await bring_in_devices(db, [Device(name="taken", kind="parking_sensor")])
    publish("usp/v1/bay-new-3/up", {"time": 1772359200, "occupied": True})
    publish(*chirpstack("a84041ffff0000d1", 1))
    for sender in ("bay-new-3", "a84041ffff0000d1"):
        await eventually(partial(db.fetchval, WAITS, sender), expected=True)
    status, output = await usp("devices", "approve", address, "--profile", "native-parking-sensor", *words)
    assert status == 1
    assert message in output
    assert await waiting(db, "bay-new-3")() > 0


async def test_hardware_is_swapped_by_time(usp: Any, publish: Any, db: Any) -> None:
    """Frames of the old sensor before the swap and of the new one after it are the device's; no others are."""
    old, new = "a84041ffff0000e1", "a84041ffff0000e2"
    await bring_in_devices(
        db, [Device(name="bay-swap", kind="parking_sensor", profile="bosch-tps110", site="square", address=old)]
    )
    await asyncio.sleep(0.3)
    at = START + timedelta(seconds=100)
    for number in (98, 99):
        publish(*chirpstack(old, number))
    await eventually(stored(db, "bay-swap"), 2)
    for number in (97, 100, 101):
        publish(*chirpstack(new, number))
    await eventually(waiting(db, new), 3)
    status, output = await usp("devices", "replace", "bay-swap", "--address", new.upper(), "--at", at.isoformat())
    assert (status, output) == (
        0,
        f"bay-swap: address: {old} -> {new}, since {at.isoformat()}.\n"
        "3 items had waited: 2 taken up; 1 stay refused: 1 unknown_device.\n",
    )
    await asyncio.sleep(0.3)
    for number in (96, 102):
        publish(*chirpstack(old, number))
    await eventually(waiting(db, old), 1)
    await eventually(stored(db, "bay-swap"), 5)
    times = [r["time"] for r in await db.fetch("SELECT time FROM open.parking WHERE device = 'bay-swap' ORDER BY time")]
    assert [(t - START).seconds for t in times] == [96, 98, 99, 100, 101]


async def test_a_retired_device_is_refused_until_that_is_undone(usp: Any, publish: Any, db: Any) -> None:
    """What it sends meanwhile is kept under its name, and taken up when it had not ended after all."""
    eui = "a84041ffff0000f1"
    device = Device(name="bay-gone", kind="parking_sensor", profile="bosch-tps110", address=eui)
    await bring_in_devices(db, [device])
    at = START + timedelta(seconds=10)
    assert (await usp("devices", "retire", "bay-gone", "--at", at.isoformat()))[1].startswith("bay-gone: retired_at: ")
    await asyncio.sleep(0.3)
    for number in (8, 9, 10, 11):
        publish(*chirpstack(eui, number))
    await eventually(waiting(db, eui, "retired_device"), 2)
    await eventually(stored(db, "bay-gone"), 2)
    status, output = await usp("devices", "approve", eui, "--profile", "bosch-tps110")
    assert status == 1
    assert "`usp devices retire bay-gone --undo` takes that back" in output
    status, output = await usp("devices", "retire", "bay-gone", "--undo")
    assert (status, output.splitlines()[1]) == (0, "2 items had waited: 2 taken up.")
    assert await stored(db, "bay-gone")() == 4


async def test_a_device_is_moved(usp: Any, db: Any) -> None:
    """The command tells from where to where; what cannot be is told."""
    await bring_in_devices(db, [Device(name="bay-moves", kind="parking_sensor", site="square")])
    words = ("devices", "move", "bay-moves", "--lon", "9.3", "--lat", "45.5")
    told = "bay-moves: site: square -> nothing; lon: nothing -> 9.3; lat: nothing -> 45.5, since now.\n"
    assert await usp(*words) == (0, told)
    assert await usp(*words) == (0, "bay-moves stands there already.\n")
    assert (await usp("devices", "move", "bay-moves"))[0] == 2
    status, output = await usp("devices", "move", "bay-moves", "--site", "square", "--at", "2025-03-01T10:00:00")
    assert (status, "has no offset" in output) == (2, True)
    status, output = await usp("devices", "move", "bay-moves", "--site", "square", "--at", "2025-03-01T10:00:00Z")
    assert (status, "it stands elsewhere since" in output) == (1, True)


async def test_parts_of_a_device_are_candidates(db: Any, database_url: str) -> None:
    """A connector that nobody has registered waits under the name it would have."""
    station = DeviceProfile(
        name="station", title="Station", kind="charging_point",
        children=(PartRule(path="connectors[*]", name="{index}"),),
    )  # fmt: skip
    profiles = PROFILES | {"station": station}
    await publish_profiles(db, profiles)
    await bring_in_devices(db, [Device(name="station-1", kind="charging_point", profile="station")])
    item: dict[str, Any] = {
        "time": 1772359200,
        "connectors": [{"status": "charging", "power": 7000}, {"status": "available"}],
    }
    # The worker beside this test does not know the profile; this is what one that does would have kept.
    await db.execute(
        "INSERT INTO usp.rejection (received_at, door, topic, address, device, dataset, field, reason, detail, "
        "whole_item, payload, payload_length) SELECT now(), 'mqtt', 'usp/v1/station-1/up', name, id, '', '1', "
        "'unknown_device', '', true, $1, 100 FROM usp.device WHERE name = 'station-1'",
        orjson.dumps(item),
    )
    replayer = Replayer(database_url, profiles, CODECS)
    wish = {"profile": "native-charging-point"}
    for number, fields in enumerate(item["connectors"], 1):
        (found,) = [c for c in await candidates(db, profiles) if c.parent == "station-1"]
        assert (found.address, found.fields) == (f"station-1-{number}", {**fields, "time": item["time"]})
        assert found.suggestions[0].profile == "native-charging-point"
        done = await approve(db, replayer, found.address, wish)
        assert (done.name, done.device["parent"], done.taken.resolved) == (found.address, "station-1", 1)
    assert await db.fetchval("SELECT count(*) FROM open.charging WHERE device LIKE 'station-1-_'") == 2
    assert not [c for c in await candidates(db, profiles) if c.parent == "station-1"]


async def keep(db: Any, address: str, at: int, reason: str = "unknown_device", device: str | None = None) -> None:
    """Keep an item of a parking sensor as a worker would that refuses it."""
    item = orjson.dumps({"time": at, "occupied": True})
    await db.execute(
        "INSERT INTO usp.rejection (received_at, door, topic, address, device, dataset, field, reason, detail, "
        "whole_item, payload, payload_length) VALUES (now(), 'mqtt', 'usp/v1/' || $1 || '/up', $1, "
        "(SELECT id FROM usp.device WHERE name = $5), '', '', $3, '', true, $2, $4)",
        address, item, reason, len(item), device,
    )  # fmt: skip


class Overtaken(Replayer):
    """While it has just taken up what waits, a worker that has not read the registry yet refuses one more."""

    late: asyncio.Task[None] | None = None
    db: Any = None

    async def replay(self, chosen: RejectionFilter, *, dry_run: bool = False) -> AsyncGenerator[Progress]:
        """Take up, and let one more come a little later."""
        async for progress in super().replay(chosen, dry_run=dry_run):
            yield progress
        self.late = self.late or asyncio.create_task(self._one_more())

    async def _one_more(self) -> None:
        await asyncio.sleep(QUIET_S / 2)
        await keep(self.db, "bay-late", 1772359260)


async def test_a_frame_that_a_worker_refuses_after_the_first_look_is_taken_up(db: Any, database_url: str) -> None:
    """The command waits until workers must have heard of the device, and looks again."""
    await bring_in_devices(db, [Device(name="bay-late", kind="parking_sensor")])
    await keep(db, "bay-late", 1772359200)
    replayer = Overtaken(database_url, PROFILES, CODECS)
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    try:
        replayer.db = db
        taken = await take_up(connection, replayer, Waiting(address="bay-late"))
    finally:
        await connection.close()
    assert replayer.late is not None
    await replayer.late
    assert (taken.resolved, taken.left) == (2, 0)


async def test_what_was_not_understood_is_taken_up_by_an_approval(usp: Any, db: Any) -> None:
    """Its profile or its codec may be there by now; what had been stored already is taken up, not stored again."""
    await bring_in_devices(db, [Device(name="bay-mute", kind="parking_sensor")])
    for number, reason in enumerate(("no_profile", "no_codec", "codec_limit", "codec_tripped", "unknown_device")):
        await keep(db, "bay-mute", 1772359200 + number // 2, reason, None if reason == "unknown_device" else "bay-mute")
    await keep(db, "bay-mute", 1772359200, "bad_frame", "bay-mute")
    words = ("devices", "approve", "bay-mute", "--profile", "native-parking-sensor")
    status, output = await usp(*words)
    # What runs beside may log between.
    assert (status, output.splitlines()[-1]) == (0, "5 items had waited: 5 taken up.")
    assert await stored(db, "bay-mute")() == 3
    assert await waiting(db, "bay-mute", "bad_frame")() == 1


async def test_a_page_can_do_the_same(db: Any, replayer: Replayer, publish: Any) -> None:
    """Without the command: who waits, and the approval."""
    eui = "a84041ffff0000aa"
    for number in range(5):
        publish(*chirpstack(eui, number))
    await eventually(waiting(db, eui), 5)
    (candidate,) = await candidates(db, PROFILES, CODECS, addresses=[eui])
    assert (candidate.address, candidate.waiting, candidate.registered_as) == (eui, 5, None)
    done = await approve(db, replayer, candidate.address, {"profile": candidate.suggestions[0].profile})
    # The name that the network gives is another device's already.
    assert (done.name, done.was_there, done.taken.resolved) == ("stallo-citta-7-00aa", False, 5)
    with pytest.raises(RegistryError, match="registered already, as stallo-citta-7-00aa with kind parking_sensor"):
        await approve(db, replayer, eui, {"kind": "lamppost"})
    assert not await candidates(db, PROFILES, CODECS, addresses=[eui])


@pytest.mark.parametrize(
    ("text", "name"),
    [("Stallo Città 7", "stallo-citta-7"), ("--", ""), ("x" * 80, "x" * 63), ("Ω", ""), ("EUI_1", "eui-1")],
)
def test_a_name_is_made_of_the_networks_own(text: str, name: str) -> None:
    """Without accents, in lower case, with hyphens."""
    assert slug(text) == name
