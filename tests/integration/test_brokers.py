"""One worker listens at several brokers, each in its own way."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_ingest import eventually, running
from tests.integration.test_lorawan import CODECS, EUI, PROFILES, TTS, UP, chirpstack, frame, send

from usp.embedded import Mosquitto, Parts
from usp.errors import SettingsError
from usp.ingest.registry import publish_profiles
from usp.ingest.worker import subscriptions
from usp.models.broker import parse_brokers
from usp.models.device import Device
from usp.registry import bring_in_devices

COUNTED = "SELECT coalesce(sum(count), 0)::int FROM usp.ingest_total WHERE what = $1"


@pytest.fixture
async def second(parts: Parts, tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """Another broker."""
    with Mosquitto(parts, tmp_path / "second") as server:
        yield server


async def test_the_same_uplink_by_two_brokers_is_one_row(
    database_url: str, broker: Mosquitto, second: Mosquitto, db: Any
) -> None:
    """The second speaks only MQTT 3.1.1, knows no shared subscriptions, and is listened to for ChirpStack alone."""
    await publish_profiles(db, PROFILES)
    device = Device(name="bay-1", kind="parking_sensor", profile="bay", category="disabled", address=EUI)
    await bring_in_devices(db, [device])
    both = f"{broker.url},{second.url}?version=3.1.1&shared=no&door=chirpstack"
    async with running(database_url, both, PROFILES, CODECS):
        for minute in range(20):
            uplink = chirpstack(minute, minute, data=frame(minute % 2))
            await send(broker, UP, uplink)
            await send(second, UP, uplink)
        await eventually(lambda: db.fetchval(COUNTED, "received"), 40)
        assert await db.fetchval(COUNTED, "stored") == 20
        assert await db.fetchval(COUNTED, "duplicate") == 20
        assert await db.fetchval("SELECT count(*) FROM usp.parking") == 20
        assert await db.fetchval("SELECT sum(frames_lost) FROM usp.device_health") == 0
        # Nobody listens there for this.
        await send(second, TTS, {})
        second.stop()
        await send(broker, UP, chirpstack(30, 30, data=frame(1)))
        await eventually(lambda: db.fetchval(COUNTED, "stored"), 21)
        second.start()
        for minute in range(31, 34):
            await send(broker, UP, chirpstack(minute, minute, data=frame(1)))
        await eventually(lambda: db.fetchval(COUNTED, "stored"), 24)
    assert await db.fetchval(COUNTED, "rejected") == 0


def test_a_door_that_there_is_not_is_named() -> None:
    """Instead of listening to nothing."""
    (broker,) = parse_brokers("mqtt://host?door=thingsstack")
    with pytest.raises(SettingsError, match="no door 'thingsstack'; there are mqtt, chirpstack, things_stack"):
        subscriptions(broker)
