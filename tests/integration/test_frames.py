"""Frames lost by radio are counted from gaps in the counter, exactly, in whatever order frames come."""

import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from usp.db import WRITER_ROLE, connect
from usp.ingest.batch import Batch
from usp.ingest.normalise import Normaliser
from usp.ingest.registry import publish_profiles
from usp.ingest.writer import Writer
from usp.models.device import Device
from usp.models.profile import default_profile
from usp.registry import bring_in_devices

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = START - timedelta(days=1)
PROFILE = default_profile("parking_sensor")
NORMALISE = Normaliser(PROFILE)


class Radio:
    """One device's frames on their way into the database."""

    def __init__(self, connection: Any, writer: Writer, device: int) -> None:
        self.connection, self.writer, self.device = connection, writer, device
        self.unbroken_since: datetime | None = LONG_AGO

    async def send(self, *frames: tuple[int, int], restart: int | None = None) -> None:
        """Commit frames, (minute, counter), in one batch."""
        batch = Batch(unbroken_since=self.unbroken_since)
        for minute, counter in frames:
            at = START + timedelta(minutes=minute)
            batch.add_rows(NORMALISE(self.device, {"time": at.timestamp(), "frame_counter": counter}, at).rows)
        if restart is not None:
            batch.restart(self.device, START + timedelta(minutes=restart))
        await self.writer.commit(self.connection, batch)

    async def lost(self) -> list[float | None]:
        """What was lost before each frame, in the order of time."""
        query = "SELECT frames_lost FROM usp.device_health WHERE device = $1 ORDER BY time"
        return [r[0] for r in await self.connection.fetch(query, self.device)]


@pytest.fixture(scope="module")
async def writing(database_url: str) -> AsyncIterator[tuple[Any, Writer]]:
    """A connection and its writer."""
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    writer = Writer(0)
    await writer.prepare(connection)
    yield connection, writer
    await connection.close()


@pytest.fixture
async def radio(writing: tuple[Any, Writer], db: Any, request: pytest.FixtureRequest) -> Radio:
    """A device that has not sent anything yet."""
    await publish_profiles(db, {PROFILE.name: PROFILE})
    name = f"bay-{abs(hash(request.node.name))}"
    await bring_in_devices(db, [Device(name=name, kind=PROFILE.kind, profile=PROFILE.name)])
    return Radio(*writing, await db.fetchval("SELECT id FROM usp.device WHERE name = $1", name))


async def test_a_gap_is_what_was_lost(radio: Radio) -> None:
    """Nothing is known before the first frame; then each gap counts, within a batch and from one to the next."""
    await radio.send((0, 10), (1, 11), (2, 14))
    await radio.send((3, 15))
    await radio.send((4, 20))
    assert await radio.lost() == [None, 0, 2, 0, 4]
    latest = "SELECT frames_lost, frame_counter FROM usp.device_health_latest WHERE device = $1"
    assert tuple(await radio.connection.fetchrow(latest, radio.device)) == (4, 20)


async def test_the_same_again_changes_nothing(radio: Radio) -> None:
    """A batch that the broker sends again leaves rows and newest values alone."""
    for _ in range(2):
        await radio.send((0, 1), (1, 4))
        await radio.send((2, 5))
    assert await radio.lost() == [None, 2, 0]


async def test_a_join_or_a_smaller_counter_begins_anew(radio: Radio) -> None:
    """What lies between two runs of the counter is not known, even where the new one is ahead of the old."""
    await radio.send((0, 7))
    await radio.send(restart=1)
    await radio.send((2, 9), (3, 10))
    await radio.send((4, 0), (5, 2))
    await radio.send((6, 3), (8, 90), restart=7)
    assert await radio.lost() == [None, None, 0, None, 1, 0, None]


async def test_what_may_have_been_lost_on_the_way_to_us_is_not_blamed_on_the_radio(radio: Radio) -> None:
    """After an interruption a gap is of unknown origin; a counter that goes on without one proves that none was."""
    await radio.send((0, 1))
    radio.unbroken_since = START + timedelta(seconds=30)
    await radio.send((1, 5))
    await radio.send((2, 8))
    radio.unbroken_since = None
    await radio.send((3, 9))
    await radio.send((4, 12))
    assert await radio.lost() == [None, None, 2, 0, None]


async def test_a_late_frame_splits_a_gap_in_two(radio: Radio) -> None:
    """It was not lost after all; the newest value says so too."""
    await radio.send((0, 1), (5, 6))
    assert await radio.lost() == [None, 4]
    await radio.send((2, 3))
    assert await radio.lost() == [None, 1, 2]
    latest = "SELECT frames_lost FROM usp.device_health_latest WHERE device = $1"
    assert await radio.connection.fetchval(latest, radio.device) == 2


async def test_any_order_gives_the_same(radio: Radio) -> None:
    """Frames in random order and random batches end with the losses of the order of time, but for the very first."""
    rng = random.Random(7)  # noqa: S311 - no secret
    counters = sorted(rng.sample(range(200), 60))
    frames = [(c, c) for c in counters]
    expected = [None, *(float(b - a - 1) for a, b in itertools.pairwise(counters))]
    await radio.send(frames[0], frames[-1])
    middle = frames[1:-1]
    rng.shuffle(middle)
    while middle:
        count = rng.randint(1, 5)
        await radio.send(*middle[:count])
        del middle[:count]
    assert await radio.lost() == expected
