"""What is sent over MQTT stands in the database, once, and is counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import orjson
import paho.mqtt.publish as mqtt
import pytest

from usp.embedded import Mosquitto
from usp.ingest.codecs import Codec
from usp.ingest.housekeeping import Teach
from usp.ingest.registry import publish_profiles
from usp.ingest.worker import Worker
from usp.models.device import Device
from usp.models.profile import DeviceProfile, default_profile
from usp.registry import bring_in_devices

LAMP = DeviceProfile(name="lamp", title="Lamp", kind="lamppost", interval=60)
PROFILES = {p.name: p for p in (LAMP, default_profile("parking_sensor"), default_profile("charging_point"))}
DEVICES = [
    Device(name="lamp-1", kind="lamppost", profile="lamp"),
    Device(name="bay-1", kind="parking_sensor", profile="native-parking-sensor", category="disabled"),
    Device(name="cp-1", kind="charging_point", profile="native-charging-point"),
]


@pytest.fixture(scope="module")
async def worker(database_url: str, broker: Mosquitto, db: Any) -> AsyncIterator[Worker]:
    """A running worker with three devices."""
    await publish_profiles(db, PROFILES)
    await bring_in_devices(db, DEVICES)
    async with running(database_url, broker.url) as started:
        yield started


@asynccontextmanager
async def running(
    database_url: str,
    broker_url: str,
    profiles: Mapping[str, DeviceProfile] = PROFILES,
    codecs: Mapping[str, Codec] = MappingProxyType({}),
    teach: Teach | None = None,
) -> AsyncIterator[Worker]:
    """Run a worker until the block ends, and see that it drains."""
    worker = Worker(database_url, broker_url, profiles, codecs, teach=teach)
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            while not worker.connected:
                await asyncio.sleep(0.01)
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)


async def send(broker: Mosquitto, device: str, payload: Any) -> None:
    """Publish and wait until the broker has it."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    await asyncio.to_thread(mqtt.single, f"usp/v1/{device}/up", body, qos=1, hostname="127.0.0.1", port=broker.port)


async def eventually(check: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Wait until a query gives what is expected."""
    for _ in range(100):
        if (found := await check()) == expected:
            return
        await asyncio.sleep(0.05)
    assert found == expected


async def totals(db: Any) -> dict[str, int]:
    """Everything counted so far, by what."""
    records = await db.fetch("SELECT what, sum(count)::bigint AS n FROM usp.ingest_total GROUP BY what")
    return {r["what"]: r["n"] for r in records}


async def test_a_reading_is_split_over_its_datasets(worker: Worker, broker: Mosquitto, db: Any) -> None:
    """One message becomes a row of each dataset it speaks of; interval data stand at their start."""
    await send(broker, "lamp-1", {
        "time": "2024-11-19T10:00:00+01:00", "no2": 31.5, "temperature": 9.5, "rainfall": 0.4,
        "laeq": 61.2, "vehicles": 12, "lit": False, "clients": 3, "lighting.energy": 1234.5,
    })  # fmt: skip
    await eventually(lambda: db.fetchval("SELECT count(*) FROM usp.wifi"), 1)
    air = await db.fetchrow("SELECT time, no2, flags FROM usp.air_quality")
    assert (air["time"].isoformat(), air["no2"], air["flags"]) == ("2024-11-19T09:00:00+00:00", 31.5, 8)
    noise = await db.fetchrow("SELECT time, period, laeq::text FROM usp.noise")
    assert (noise["time"].isoformat(), noise["period"], noise["laeq"]) == (
        "2024-11-19T08:59:00+00:00",
        60,
        "61.2",
    )
    weather = await db.fetch("SELECT time, temperature, rainfall::text FROM usp.weather ORDER BY time")
    assert [(w["time"].minute, w["temperature"], w["rainfall"]) for w in weather] == [
        (59, None, "0.4"),
        (0, 9.5, None),
    ]
    wifi = await db.fetchrow("SELECT clients, flags FROM usp.wifi")
    assert (wifi["clients"], wifi["flags"]) == (0, 256 | 8)


async def test_every_item_has_one_outcome(worker: Worker, broker: Mosquitto, db: Any) -> None:
    """The sum holds: received = stored + duplicate + rejected; completed is stored, a contradiction is kept out."""
    before = await totals(db)
    first = {"time": 1731924000, "status": "charging", "power": 7000}
    await send(broker, "cp-1", [first, first, {"time": 1731924000, "status": "charging", "power": 7100}])
    await send(broker, "cp-1", {"time": 1731924000000, "energy": 12.25, "power": 7100.0})
    await send(broker, "cp-1", {"time": 1731924000, "status": "charging"})
    await send(broker, "cp-1", {"time": "yesterday", "power": 1})
    await send(broker, "cp-1", b"{not json")
    await send(broker, "cp-2", first)

    async def outcomes() -> dict[str, int]:
        return {what: n - before.get(what, 0) for what, n in (await totals(db)).items() if what != "rows"}

    await eventually(outcomes, {"received": 8, "stored": 2, "duplicate": 2, "rejected": 4, "value_refused": 1})
    row = await db.fetchrow("SELECT status, power, energy FROM usp.charging")
    assert dict(row) == {"status": "charging", "power": 7000.0, "energy": 12.25}
    reasons = await db.fetch("SELECT reason, whole_item, field, detail FROM usp.rejection ORDER BY id")
    assert sorted((r["reason"], r["whole_item"]) for r in reasons) == [
        ("bad_time", True), ("conflicting_value", False), ("conflicting_value", True), ("not_json", True),
        ("unknown_device", True),
    ]  # fmt: skip
    latest = await db.fetchrow("SELECT power, energy, power_time = energy_time AS same FROM usp.charging_latest")
    assert dict(latest) == {"power": 7000.0, "energy": 12.25, "same": True}


async def test_an_idle_worker_takes_its_slot_again(worker: Worker, broker: Mosquitto, db: Any) -> None:
    """Its database session ends while nothing is sent: no other worker may find the slot free for long."""
    holds = """
        SELECT array_agg(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND application_name = 'usp-ingest' AND datname = current_database()
    """
    before = await db.fetchval(holds)
    assert len(before) == 1
    await db.execute("SELECT pg_terminate_backend($1)", before[0])

    async def held_by_another() -> bool:
        return bool((await db.fetchval(holds) or before) != before)

    await eventually(held_by_another, expected=True)
