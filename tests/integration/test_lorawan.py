"""What network servers send over MQTT becomes readings, device health and counted events."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import paho.mqtt.publish as mqtt
import pytest
from tests.integration.test_ingest import eventually, running, totals

from usp.embedded import Mosquitto
from usp.errors import CodecError
from usp.ingest.codecs import Codec
from usp.ingest.registry import publish_profiles
from usp.ingest.worker import Worker
from usp.models.device import Device
from usp.models.profile import DeviceProfile
from usp.registry import bring_in_devices

EUI = "70b3d57ed0000001"
SCRIPT = "function decodeUplink(input) { return {data: {occupied: input.bytes[0] === 1}}; }"
BAY = DeviceProfile(name="bay", title="Bay", kind="parking_sensor")
PROFILES = {"bay": BAY}
CODECS = {"bay": Codec.of("bay", SCRIPT)}


@pytest.fixture(scope="module", autouse=True)
async def worker(database_url: str, broker: Mosquitto, db: Any) -> AsyncIterator[Worker]:
    """A worker that knows one parking sensor by its devEUI."""
    await publish_profiles(db, PROFILES)
    await bring_in_devices(db, [Device(name="bay-1", kind="parking_sensor", profile="bay", category="disabled")])
    await db.execute(
        "INSERT INTO usp.device_address (network, address, device, valid) "
        "SELECT 'lorawan', $1, id, tstzrange(NULL, NULL) FROM usp.device",
        EUI,
    )
    async with running(database_url, broker.url, PROFILES, CODECS) as started:
        yield started


async def send(broker: Mosquitto, topic: str, message: dict[str, Any]) -> None:
    """Publish and wait until the broker has it."""
    body = orjson.dumps(message)
    await asyncio.to_thread(mqtt.single, topic, body, qos=1, hostname="127.0.0.1", port=broker.port)


def chirpstack(minute: int, counter: int, **more: Any) -> dict[str, Any]:
    """An uplink as ChirpStack publishes it."""
    return {
        "deduplicationId": f"3ac7e3c4-4401-4b8d-9386-{counter:012d}",
        "time": f"2026-03-01T10:{minute:02d}:00.123456789+00:00",
        "deviceInfo": {"devEui": EUI, "deviceName": "Bay", "applicationName": "Parking"},
        "fCnt": counter,
        "fPort": 1,
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 7.5}, {"gatewayId": "0016c001f153a14d"}],
        **more,
    }


def frame(value: int) -> str:
    """One byte, as it travels in JSON."""
    return base64.b64encode(bytes([value])).decode()


UP = f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{EUI}/event/up"
JOIN = UP.replace("/up", "/join")
TTS = "v3/city@tenant/devices/bay-1/up"


async def test_bytes_and_objects_become_readings(broker: Mosquitto, db: Any) -> None:
    """The network server's object where there is one, else our codec; radio data stand beside it, once."""
    await send(broker, UP, chirpstack(0, 10, data=frame(1)))
    await send(broker, UP, chirpstack(1, 11, data=frame(0)))
    await send(broker, UP, chirpstack(2, 14, data=frame(0), object={"occupied": True, "battery": 55}))
    await send(broker, UP, chirpstack(2, 14, data=frame(0), object={"occupied": True, "battery": 55}))
    await eventually(lambda: db.fetchval("SELECT count(*) FROM usp.parking"), 3)
    rows = await db.fetch("SELECT occupied, flags, time FROM usp.parking ORDER BY time")
    assert [r["occupied"] for r in rows] == [True, False, True]
    assert rows[0]["time"].isoformat() == "2026-03-01T10:00:00.123456+00:00"
    health = await db.fetch(
        "SELECT rssi, snr, frame_counter, frames_lost, battery FROM usp.device_health ORDER BY time"
    )
    assert [tuple(r) for r in health] == [
        (-97, 7.5, 10, None, None),
        (-97, 7.5, 11, 0, None),
        (-97, 7.5, 14, 2, 55),
    ]
    assert await counted(db) == {"received": 4, "stored": 3, "duplicate": 1}


async def counted(db: Any) -> dict[str, int]:
    """The counts of items and events."""
    return {what: count for what, count in (await totals(db)).items() if what != "rows"}


async def test_an_uplink_that_cannot_be_decoded_is_rejected_and_its_radio_data_kept(broker: Mosquitto, db: Any) -> None:
    """The item's outcome is that of its reading."""
    await send(broker, UP, chirpstack(5, 15, object={"nothing": 1}))
    query = "SELECT frame_counter FROM usp.device_health WHERE time > '2026-03-01T10:05:00Z'"
    await eventually(lambda: db.fetchval(query), 15)
    assert await db.fetchval("SELECT reason FROM usp.rejection ORDER BY id DESC LIMIT 1") == "no_known_field"


async def test_the_same_device_behind_another_network_server(broker: Mosquitto, db: Any) -> None:
    """The devEUI tells who it is, however it is written; simulated uplinks are refused."""
    message = {
        "end_device_ids": {
            "device_id": "bay-1",
            "application_ids": {"application_id": "city"},
            "dev_eui": EUI.upper(),
        },
        "received_at": "2026-03-01T10:10:00.4Z",
        "uplink_message": {
            "f_port": 1,
            "frm_payload": frame(1),
            "rx_metadata": [{"gateway_ids": {"gateway_id": "gw"}, "rssi": -80, "snr": 3}],
            "received_at": "2026-03-01T10:10:00.2Z",
        },
    }
    await send(broker, TTS, message)
    await send(broker, TTS, message | {"simulated": True})
    await send(broker, TTS + "/normalized", message)
    query = "SELECT occupied FROM usp.parking WHERE time = '2026-03-01T10:10:00.2Z'"
    await eventually(lambda: db.fetchval(query), expected=True)
    reason = "SELECT count(*) FROM usp.rejection WHERE reason = 'simulated'"
    await eventually(lambda: db.fetchval(reason), 1)
    # The counter begins at 0, which is left out, so what was lost before it is not known.
    row = await db.fetchrow("SELECT frame_counter, frames_lost FROM usp.device_health WHERE rssi = -80")
    assert tuple(row) == (0, None)
    events = "SELECT reason FROM usp.ingest_total WHERE what = 'event'"
    await eventually(lambda: db.fetchval(events), "up_normalized")


async def test_a_join_begins_the_counter_anew(broker: Mosquitto, db: Any) -> None:
    """After it a larger counter is no gap; the join itself is an event, not an item."""
    before = await counted(db)
    await send(broker, JOIN, {"time": "2026-03-01T11:00:00Z", "deviceInfo": {"devEui": EUI}, "devAddr": "00189440"})
    await eventually(lambda: db.fetchval("SELECT count FROM usp.ingest_total WHERE reason = 'join'"), 1)
    late = chirpstack(0, 90, data=frame(1)) | {"time": "2026-03-01T11:05:00Z"}
    await send(broker, UP, late)
    lost = "SELECT coalesce(frames_lost, -1) FROM usp.device_health WHERE frame_counter = 90"
    await eventually(lambda: db.fetchval(lost), -1)
    after = await counted(db)
    assert after["received"] - before["received"] == 1


async def test_many_stand_in_one_sum(broker: Mosquitto, db: Any) -> None:
    """Items of all doors add up."""
    found = await counted(db)
    assert found["received"] == found["stored"] + found["duplicate"] + found["rejected"]


async def test_without_a_codec_process_everything_else_goes_on(
    broker: Mosquitto, db: Any, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process can be started: what needs a codec is refused and waits, what needs none is stored."""

    async def decode(*_: Any) -> Any:
        raise CodecError("Resource temporarily unavailable")

    monkeypatch.setattr(worker._codecs, "decode", decode)  # noqa: SLF001 - stands for a machine without memory
    await send(broker, UP, chirpstack(50, 200, data=frame(1)))
    await send(broker, UP, chirpstack(51, 201, object={"occupied": True}))
    query = "SELECT count(*) FROM usp.parking WHERE time > '2026-03-01T10:50:30Z' AND time < '2026-03-01T10:52:00Z'"
    await eventually(lambda: db.fetchval(query), 1)
    reason = "SELECT reason FROM usp.rejection WHERE detail LIKE '%Resource temporarily unavailable%'"
    assert await db.fetchval(reason) == "codec_failed"


async def test_a_join_from_the_future_is_not_believed(broker: Mosquitto, db: Any) -> None:
    """It would leave the losses of years uncounted."""
    join = {"time": "2199-01-01T00:00:00Z", "deviceInfo": {"devEui": EUI}, "devAddr": "00189440"}
    await send(broker, JOIN, join)
    for minute, counter in ((0, 300), (1, 303)):
        uplink = chirpstack(minute, counter, data=frame(1)) | {"time": f"2026-03-02T10:{minute:02d}:00Z"}
        await send(broker, UP, uplink)
    lost = "SELECT frames_lost FROM usp.device_health WHERE frame_counter = 303"
    await eventually(lambda: db.fetchval(lost), 2)


async def test_a_profile_is_learnt_while_frames_come(database_url: str, broker: Mosquitto, db: Any) -> None:
    """A device may be registered with a profile that was not there when the worker started."""
    known, codecs = dict(PROFILES), dict(CODECS)
    async with running(database_url, broker.url, known, codecs, teach=lambda: (known, codecs)):
        known["taught"] = BAY.model_copy(update={"name": "taught"})
        codecs["taught"] = CODECS["bay"]
        await publish_profiles(db, known)
        new = Device(name="bay-2", kind="parking_sensor", profile="taught", address="70b3d57ed0000002")
        await bring_in_devices(db, [new])

        async def understood() -> bool:
            message = chirpstack(40, 1, data=frame(1))
            message["deviceInfo"]["devEui"] = "70b3d57ed0000002"
            await send(broker, UP.replace(EUI, "70b3d57ed0000002"), message)
            return bool(await db.fetchval("SELECT count(*) FROM open.parking WHERE device = 'bay-2'"))

        await eventually(understood, expected=True)
