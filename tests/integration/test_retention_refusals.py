"""What is older than its dataset's retention is refused as too old, and the rest of it stored."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import paho.mqtt.publish as mqtt
import pytest
from tests.integration.street import Sent, Street, on_street

from usp.embedded import Mosquitto
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import CodecRuntime
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.replay import Replayer
from usp.ingest.retention import Horizon
from usp.ingest.worker import Worker
from usp.models.device import Device
from usp.models.profile import DeviceProfile
from usp.models.rejection import RejectionFilter
from usp.models.retention import Retention
from usp.registry import bring_in_devices

WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
async def street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """Where items go through the whole pipeline."""
    async with on_street(database_url, db) as made:
        yield made


async def count(street: Street, dataset: str, device: str) -> int:
    """How many rows a device has."""
    sql = f"SELECT count(*) FROM usp.{dataset} r JOIN usp.device d ON d.id = r.device WHERE d.name = $1"
    return int(await street.db.fetchval(sql, device))


async def send(street: Street, kept: Retention, device: str, age: timedelta, **values: Any) -> None:
    """Let a device say something that was measured some days ago."""
    item = {"time": (datetime.now(UTC) - age).isoformat(), **values}
    await take(street, kept, f"usp/v1/{device}/up", item)


async def take(street: Street, kept: Retention, topic: str, item: dict[str, Any]) -> None:
    """Let a message through a worker that has just been started."""
    registry, codecs, horizon = Registry(street.profiles, {}), CodecRuntime(), Horizon(kept)
    await registry.refresh(street.db)
    await horizon.read(street.connection)
    pipeline = Pipeline(BRIDGES, registry, codecs, horizon)
    batch, _ = await pipeline.next_batch([Sent(topic, orjson.dumps(item), datetime.now(UTC))])
    await street.writer.commit(street.connection, batch)
    await codecs.close()


async def test_what_is_too_old_is_refused_and_the_rest_stored(street: Street) -> None:
    """One item, two datasets, two retentions; once the retention is longer, a replay brings what is missing."""
    await street.register("lamp-old")
    before = await street.counted("mqtt")
    kept = {"noise": 2 * WEEK, "air_quality": 4 * WEEK}
    await send(street, kept, "lamp-old", age=timedelta(days=20), no2=31.0, laeq=61.5)
    await send(street, kept, "lamp-old", age=timedelta(days=60), no2=31.0, laeq=61.5)
    after = await street.counted("mqtt")
    gained = {what: after[what] - before.get(what, 0) for what in ("received", "stored", "rejected", "value_refused")}
    assert gained == {"received": 2, "stored": 1, "rejected": 1, "value_refused": 1}
    beside, whole = await street.rejections("lamp-old")
    assert [(r["reason"], r["dataset"], r["whole_item"]) for r in (beside, whole)] == [
        ("too_old", "noise", False),
        ("too_old", whole["dataset"], True),
    ]
    assert "noise is taken in from " in beside["detail"]
    assert await count(street, "noise", "lamp-old") == 0
    assert await _replayed(street, kept) == (0, 2)
    assert await _replayed(street, kept | {"noise": 5 * WEEK}) == (1, 1)
    assert await count(street, "noise", "lamp-old") == 1


async def _replayed(street: Street, kept: Retention) -> tuple[int, int]:
    replayer = Replayer(street.url, street.profiles, {}, kept)
    steps = [step async for step in replayer.replay(RejectionFilter(address="lamp-old"))]
    return steps[-1].resolved, sum(steps[-1].refused.values())


async def test_where_rows_are_gone_nothing_comes_back(street: Street) -> None:
    """A retention that was unset lets nothing into weeks without raw rows: no aggregate would tell of it."""
    await street.register("lamp-back")
    await street.db.execute("UPDATE usp.rollup SET raw_from = now() - interval '30 days' WHERE dataset = 'noise'")
    await send(street, {}, "lamp-back", age=timedelta(days=31), no2=31.0, laeq=61.5)
    await send(street, {}, "lamp-back", age=timedelta(days=29), no2=32.0, laeq=62.5)
    assert await count(street, "noise", "lamp-back") == 1
    assert await count(street, "air_quality", "lamp-back") == 2
    await street.db.execute("UPDATE usp.rollup SET raw_from = DEFAULT")
    (refused,) = await street.rejections("lamp-back")
    assert (refused["reason"], refused["dataset"]) == ("too_old", "noise")


async def test_radio_data_grow_old_by_themselves(street: Street) -> None:
    """An uplink too old for its readings leaves its radio data, and the other way round; with neither it is refused."""
    street.profiles["bay"] = DeviceProfile(name="bay", title="Bay", kind="parking_sensor")
    await publish_profiles(street.db, street.profiles)
    await bring_in_devices(street.db, [Device(name="bay-old", kind="parking_sensor", profile="bay")])
    await street.db.execute(
        "INSERT INTO usp.device_address (network, address, device, valid) "
        "SELECT 'lorawan', '70b3d57ed0000009', id, tstzrange(NULL, NULL) FROM usp.device WHERE name = 'bay-old'"
    )
    reading, mac_only = {"fPort": 1, "object": {"occupied": True}}, dict[str, Any]()
    sent = [
        ({"parking": 2 * WEEK, "device_health": 4 * WEEK}, reading),
        ({"parking": 4 * WEEK, "device_health": 2 * WEEK}, reading),
        ({"device_health": 2 * WEEK}, mac_only),
    ]
    found = []
    for number, (kept, more) in enumerate(sent):
        time = datetime.now(UTC) - timedelta(days=20) + timedelta(minutes=number)
        gateways = [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 7.5}]
        uplink = {"deviceInfo": {"devEui": "70b3d57ed0000009"}, "time": time.isoformat(), "fCnt": number + 7}
        topic = "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/70b3d57ed0000009/event/up"
        await take(street, kept, topic, uplink | {"rxInfo": gateways} | more)
        counts = [await count(street, name, "bay-old") for name in ("parking", "device_health")]
        refused = [(r["reason"], r["dataset"]) for r in await street.rejections("70b3d57ed0000009")]
        found.append((*counts, refused))
    parking, health = ("too_old", "parking"), ("too_old", "device_health")
    assert found == [(0, 1, [parking]), (1, 1, [parking]), (1, 1, [parking, health])]


async def test_a_worker_refuses_by_its_setting(street: Street, database_url: str, broker: Mosquitto) -> None:
    """What a broker delivers to ingest is held to the retention that ingest was started with."""
    await street.register("lamp-live")
    worker = Worker(database_url, broker.url, street.profiles, retention={"noise": 2 * WEEK})
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            while not worker.connected:
                await asyncio.sleep(0.01)
        items = [{"time": (datetime.now(UTC) - timedelta(days=days)).isoformat(), "laeq": 61.5} for days in (1, 15)]
        body, topic = orjson.dumps(items), "usp/v1/lamp-live/up"
        await asyncio.to_thread(mqtt.single, topic, body, qos=1, hostname="127.0.0.1", port=broker.port)
        async with asyncio.timeout(10):
            while not await street.rejections("lamp-live"):
                await asyncio.sleep(0.05)
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)
    assert [r["reason"] for r in await street.rejections("lamp-live")] == ["too_old"]
    assert await count(street, "noise", "lamp-live") == 1
