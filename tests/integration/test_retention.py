"""Raw readings go by whole weeks; aggregates stay as they were, and what is too old is refused."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from tests.integration.conftest import serving
from tests.integration.plain import Plain, PlainDevice, PlainRow
from tests.integration.test_buckets_exact import Keeper, Story, same

from usp import keys
from usp.db import WRITER_ROLE, connect
from usp.ingest import retention
from usp.ingest.retention import MARGIN, Horizon, Retirement, Standing
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.retention import Retention

#: A chunk ends in the middle of what is written here: weeks begin on Thursdays, at midnight of UTC.
EDGE = datetime(2026, 6, 11, tzinfo=UTC)
BEGIN = EDGE - timedelta(days=1)
WEEK = timedelta(days=7)
EVERYTHING: Retention = dict.fromkeys(DATASETS, WEEK)
#: When the week before the edge is old enough to go.
THEN = EDGE + WEEK + MARGIN


def seed_from(begin: datetime) -> int:
    """The first source of chance whose story begins then."""
    return next(seed for seed in range(1000) if Story(random.Random(seed)).begin == begin)  # noqa: S311 - no secret


class Archive(Keeper):
    """A database whose raw rows grow old."""

    async def begin(self, story: Story) -> None:
        """Empty, with all its raw rows to come."""
        await super().begin(story)
        await self.db.execute("UPDATE usp.rollup SET raw_from = DEFAULT")

    async def examine(self, kept: Retention = EVERYTHING, now: datetime = THEN) -> dict[str, Standing]:
        """What would go."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test")
        try:
            return {s.dataset: s for s in await retention.examine(connection, kept, now)}
        finally:
            await connection.close()

    async def move(self, found: dict[str, Standing]) -> None:
        """Let it count as gone."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test")
        try:
            await retention.move_horizons(connection, found.values())
        finally:
            await connection.close()

    async def drop(self, found: dict[str, Standing]) -> int:
        """Drop what counts as gone; returns how many chunks."""
        return len(await retention.drop(self.url, found.values()))

    async def retire(self, kept: Retention = EVERYTHING, now: datetime = THEN) -> int:
        """All of it, one after the other."""
        found = await self.examine(kept, now)
        await self.move(found)
        return await self.drop(found)

    async def raw(self, dataset: str) -> tuple[int, int]:
        """How many raw rows there are before the edge, and from it on."""
        ((before, after),) = await self.db.fetch(
            f"SELECT count(*) FILTER (WHERE time < $1), count(*) FILTER (WHERE time >= $1) FROM usp.{dataset}", EDGE
        )
        return before, after


@pytest.fixture(scope="module")
async def archive(database_url: str, db: Any) -> Archive:
    """The module's database."""
    return Archive(database_url, db)


@pytest.fixture(scope="module")
async def api(database_url: str, db: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The API over it, asked by one who may see everything."""
    async with serving(database_url) as client:
        client.headers["Authorization"] = f"Bearer {await keys.create(db, 'reader', ['read:restricted', 'ops'])}"
        yield client


@pytest.mark.parametrize("begin", [BEGIN, datetime(2025, 12, 30, 22, tzinfo=UTC)])
async def test_aggregates_of_what_is_gone_are_exact(archive: Archive, api: httpx.AsyncClient, begin: datetime) -> None:
    """Registers, states, means: computed from all raw rows they are the same, or 400 where raw rows would be needed."""
    story = Story(random.Random(seed_from(begin)))  # noqa: S311 - chance, not secrecy
    await archive.begin(story)
    rows = [(name, row) for name, found in story.rows.items() for row in found]
    await archive.write(0, rows)
    await archive.roll_up(begin + timedelta(days=6))
    edge = begin.replace(hour=0, minute=0) + timedelta(days=1 if begin == BEGIN else 2)
    assert await archive.retire(now=edge + WEEK + MARGIN) >= len(story.rows) - 1
    horizons = dict(await archive.db.fetch("SELECT dataset, raw_from FROM usp.rollup"))
    assert set(horizons.values()) >= {edge}
    refused = 0
    for _ in range(40):
        question, params = story.question()
        name = question.dataset.name
        horizon = horizons[name]
        response = await api.get(f"/v1/datasets/{name}/readings", params=params)
        ragged = [at for at in (question.start, question.end) if (at.minute, at.second, at.microsecond) != (0, 0, 0)]
        needed = {"15m": [question.start], "30m": [question.start], "whole": ragged}.get(question.bucket, [])
        if any(at < horizon for at in needed):
            assert response.status_code == 400, (params, response.text)
            assert f"{horizon:%Y-%m-%dT%H:%M:%SZ}" in response.text
            refused += 1
            continue
        assert response.status_code == 200, (params, response.text)
        answer = [orjson.loads(line) for line in response.content.splitlines()]
        mine = [row for dataset, row in rows if dataset == name]
        assert same(answer, Plain(story.devices, mine, datetime.now(UTC)).answer(question)), params
    assert 0 < refused < 30


class Everything(Story):
    """A device of each kind, with readings of every dataset on both sides of the edge."""

    def __init__(self) -> None:
        super().__init__(random.Random(seed_from(BEGIN)))  # noqa: S311 - no secret
        self.devices, self.kinds, self.rows = [], {}, {name: [] for name in DATASETS}
        for number, (kind, facts) in enumerate(KINDS.items()):
            device = PlainDevice(f"d-{number}", interval=600.0, stays=[("s-one", BEGIN - WEEK, BEGIN + WEEK)])
            self.devices.append(device)
            self.kinds[device.name] = kind
            for name in facts.datasets:
                registers: dict[str, float] = {}
                for step in range(12):
                    values = {p.name: self._value(p, registers) for p in DATASETS[name].properties}
                    time = EDGE + (step - 6) * timedelta(minutes=50) + timedelta(minutes=20)
                    self.rows[name].append(PlainRow(device.name, time, values))

    async def told(self, api: httpx.AsyncClient, *names: str) -> dict[str, Any]:
        """What is asked again later, of some datasets or all."""
        found = {}
        window = {"from": f"{BEGIN:%Y-%m-%dT%H:%M:%SZ}", "to": f"{BEGIN + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"}
        for name in names or self.rows:
            for bucket, by in (("1h", "device"), ("3h", "site"), ("1d", "all"), ("whole", "device")):
                params = {**window, "bucket": bucket, "by": by}
                response = await api.get(f"/v1/datasets/{name}/readings", params=params)
                assert response.status_code == 200, (name, params, response.text)
                found[f"{name} {bucket} {by}"] = response.json()["data"]
            response = await api.get(f"/v1/datasets/{name}/latest")
            found[f"{name} latest"] = response.json()["data"]
        return found


@pytest.fixture
async def everything(archive: Archive) -> Everything:
    """Written and rolled up."""
    story = Everything()
    await archive.begin(story)
    await archive.write(0, [(name, row) for name, rows in story.rows.items() for row in rows])
    await archive.roll_up(BEGIN + timedelta(days=3))
    return story


async def test_every_dataset_tells_afterwards_what_it_told_before(
    archive: Archive, api: httpx.AsyncClient, everything: Everything
) -> None:
    """Aggregates and newest values outlive the raw rows; raw readings and quarters of an hour go with them."""
    before = await everything.told(api)
    assert await archive.retire() == len(DATASETS)
    assert await everything.told(api) == before
    for name in DATASETS:
        gone, stays = await archive.raw(name)
        assert (gone, stays > 0) == (0, True), name
        params = {"from": "2026-06-10T12:00:00Z", "to": "2026-06-11T12:00:00Z"}
        body = (await api.get(f"/v1/datasets/{name}/readings", params=params)).json()
        assert len(body["data"]) == stays, name
        response = await api.get(f"/v1/datasets/{name}/readings", params={**params, "bucket": "15m"})
        assert response.status_code == 400
        assert f"Raw readings of {name} are there from 2026-06-11T00:00:00Z on" in response.text
        response = await api.get(
            f"/v1/datasets/{name}/readings", params={**params, "bucket": "15m", "from": "2026-06-11T00:00:00Z"}
        )
        assert response.status_code == 200


async def test_the_extent_of_a_dataset_goes_on_being_told(
    archive: Archive, db: Any, database_url: str, everything: Everything
) -> None:
    """From the first hour of the partials to the newest value, also where no raw row is left."""
    rows = everything.rows["noise"]
    await archive.retire({"noise": WEEK})
    async with serving(database_url) as client:
        extent = (await client.get("/v1/datasets/noise")).json()["extent"]
    first, last = (datetime.fromisoformat(extent[end]) for end in ("first", "last"))
    assert first == rows[0].time.replace(minute=0)
    assert last == rows[-1].time
    await archive.roll_up(EDGE + 2 * WEEK)
    await archive.retire({"noise": WEEK}, THEN + WEEK)
    assert sum(await archive.raw("noise")) == 0
    async with serving(database_url) as client:
        extent = (await client.get("/v1/datasets/noise")).json()["extent"]
    assert datetime.fromisoformat(extent["first"]) == first
    assert datetime.fromisoformat(extent["last"]) == last


async def test_a_late_row_does_not_erase_what_is_kept(
    archive: Archive, api: httpx.AsyncClient, everything: Everything
) -> None:
    """Should one come in after all, by a process with other settings, the hour stays as it was; the row goes again."""
    before = await everything.told(api, "noise", "charging", "energy")
    await archive.retire()
    late = [
        (name, PlainRow(rows[0].device, rows[0].time + timedelta(seconds=7), rows[0].values))
        for name, rows in everything.rows.items()
        if name != "device_health"  # a frame that was missing is also told by the one that came after it
    ]
    await archive.write(0, late)
    await archive.roll_up(BEGIN + timedelta(days=3))
    assert await archive.db.fetchval("SELECT count(*) FROM usp.rollup_mark") == 0
    stable = {key for key in before if "latest" not in key}
    after = await everything.told(api, "noise", "charging", "energy")
    assert {key: after[key] for key in stable} == {key: before[key] for key in stable}
    assert (await archive.raw("noise"))[0] == 1
    assert await archive.retire() == len(late)
    assert (await archive.raw("noise"))[0] == 0


async def test_what_is_not_in_the_partials_stays(archive: Archive, everything: Everything) -> None:
    """Hours that nobody has rolled up yet, or with late rows, are told and wait."""
    rows = everything.rows["noise"]
    await archive.write(0, [("noise", PlainRow(rows[0].device, EDGE - timedelta(hours=30), rows[0].values))])
    await archive.db.execute("UPDATE usp.rollup SET rolled = $1 WHERE dataset = 'wifi'", EDGE - timedelta(hours=2))
    found = await archive.examine()
    assert found["noise"].waits == "late readings of 2026-06-09T18:00Z are not in the partials yet"
    assert found["wifi"].waits == "hours from 2026-06-10T22:00Z on are not rolled up yet"
    assert (found["noise"].going, found["wifi"].going, found["energy"].waits) == ((), (), "")
    assert await archive.retire() == len(DATASETS) - 2
    await archive.roll_up(BEGIN + timedelta(days=3))
    assert await archive.retire() == 2
    assert (await archive.raw("noise"))[0] == 0


async def test_a_late_row_that_comes_while_the_horizon_moves_is_waited_for(
    archive: Archive, everything: Everything
) -> None:
    """What was found a moment ago is asked again in the statement that moves."""
    found = await archive.examine()
    rows = everything.rows["noise"]
    await archive.write(0, [("noise", PlainRow(rows[0].device, EDGE - timedelta(hours=30), rows[0].values))])
    await archive.move(found)
    assert await archive.drop(found) == len(DATASETS) - 1
    assert (await archive.raw("noise"))[0] > 0


async def test_whoever_dies_between_moving_and_dropping_leaves_it_to_the_next(
    archive: Archive, api: httpx.AsyncClient, everything: Everything
) -> None:
    """Nobody is told that half of the past is all of it, and nothing is left behind."""
    before = await everything.told(api, "noise", "charging", "energy")
    found = await archive.examine()
    assert await archive.drop(found) == 0  # nothing counts as gone yet
    await archive.move(found)
    assert await everything.told(api, "noise", "charging", "energy") == before
    params = {"bucket": "15m", "from": "2026-06-10T12:00:00Z", "to": "2026-06-11T12:00:00Z"}
    assert (await api.get("/v1/datasets/noise/readings", params=params)).status_code == 400
    assert await archive.drop(await archive.examine({})) == 0  # unset meanwhile: nothing goes any more
    assert await archive.retire() == len(DATASETS)
    assert await archive.retire() == 0


async def test_a_retention_is_of_one_dataset_and_may_change(archive: Archive, everything: Everything) -> None:
    """Others keep their rows; a shorter one takes more, a longer one nothing, and none at all nothing either."""
    assert await archive.retire({"noise": WEEK}, THEN - timedelta(seconds=1)) == 0
    assert await archive.retire({"noise": WEEK}) == 1
    assert [(await archive.raw(name))[0] > 0 for name in ("noise", "wifi", "energy")] == [False, True, True]
    assert await archive.retire({"wifi": 2 * WEEK}) == 0
    assert await archive.retire({"wifi": WEEK}) == 1
    assert await archive.retire({"wifi": 50 * WEEK}) == 0
    assert await archive.retire({}) == 0
    horizons = dict(await archive.db.fetch("SELECT dataset, raw_from FROM usp.rollup WHERE raw_from > '2000-01-01'"))
    assert horizons == {"noise": EDGE, "wifi": EDGE}


async def test_ingest_does_it_by_itself(archive: Archive, everything: Everything) -> None:
    """The one who rolls up moves the horizon, and an hour later drops; the others learn of it."""
    horizon, other = Horizon({"noise": WEEK}), Horizon({})
    idle = Retirement(archive.url, other)
    connection = await connect(archive.url, role=WRITER_ROLE, application="test")
    try:
        await Retirement(archive.url, horizon).round(connection, mine=False)
        assert (await archive.examine({}))["noise"].horizon < EDGE
        busy = Retirement(archive.url, horizon)
        await busy.round(connection, mine=True)
        assert (await archive.raw("noise"))[0] > 0
        await busy.round(connection, mine=True)
        assert (await archive.raw("noise"))[0] > 0  # not before the hour is over
        await Retirement(archive.url, horizon).round(connection, mine=True)
        await idle.round(connection, mine=True)
    finally:
        await connection.close()
    assert (await archive.raw("noise"))[0] == 0
    assert (await archive.raw("wifi"))[0] > 0
    moved = other.oldest(datetime.now(UTC))["noise"].row
    assert moved >= EDGE
    assert moved == await archive.db.fetchval("SELECT raw_from FROM usp.rollup WHERE dataset = 'noise'")


async def test_somebody_who_reads_for_long_is_not_disturbed(archive: Archive, everything: Everything) -> None:
    """A chunk in use stays for another round, and nobody queues behind it for more than seconds."""
    found = await archive.examine({"noise": WEEK})
    await archive.move(found)
    reader = await asyncpg.connect(archive.url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM usp.noise")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(retention, "_LOCK_WAIT", "100ms")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await archive.drop(found)
    finally:
        await reader.close()
    assert await archive.drop(found) == 1


async def test_only_the_owner_of_the_tables_may_drop(archive: Archive, everything: Everything) -> None:
    """An account that may write but owns nothing is told so, and not even the horizon moves."""
    await archive.db.execute("CREATE ROLE retention_guest LOGIN PASSWORD 'x' IN ROLE usp_writer")
    try:
        owner = archive.url
        guest = Archive(owner.replace(owner.partition("//")[2].partition("@")[0], "retention_guest:x"), archive.db)
        found = await guest.examine()
        assert found["noise"].waits == "retention_guest does not own usp.noise; usp does"
        assert await guest.retire() == 0
        assert (await guest.examine())["noise"].horizon < EDGE
    finally:
        await archive.db.execute("DROP ROLE retention_guest")


async def test_the_command_tells_first_and_drops_when_told(
    archive: Archive, everything: Everything, usp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --apply it is a dry run: what would go, how much it is, and from when on there are rows."""
    monkeypatch.setattr(retention, "PAUSE_S", 0)
    rows = len(everything.rows["noise"])
    status, output = await usp("retention")
    assert status == 0
    lines = {line.split("\t")[0]: line.split("\t") for line in output.splitlines()}
    assert lines["noise"][:5] == ["noise", "forever", "2026-06-04T00:00Z", "", "0"]
    monkeypatch.setenv("USP_RETENTION", "noise=90d,wifi=50y")
    for _ in range(2):
        status, output = await usp("retention")
        lines = {line.split("\t")[0]: line.split("\t") for line in output.splitlines()}
        assert lines["dataset"] == ["dataset", "kept", "raw_from", "until", "chunks", "rows", "size", "waits"]
        assert lines["noise"][:6] == ["noise", "90d", "2026-06-04T00:00Z", "2026-06-11T00:00Z", "1", "6"]
        assert lines["noise"][6].endswith("kB")
        assert lines["noise"][7] == "hours from 2026-06-13T00:00Z on are not rolled up yet"
        assert lines["wifi"][:5] == ["wifi", "18250d", "2026-06-04T00:00Z", "", "0"]
    assert sum(await archive.raw("noise")) == rows
    status, output = await usp("retention", "--apply")
    assert (status, output.splitlines()[-1].split(",")[0]) == (0, "Chunks dropped: 1")
    assert await archive.raw("noise") == (0, rows - 6)
    status, output = await usp("retention", "--apply")
    assert (status, output.splitlines()[-1]) == (0, "Nothing dropped.")
    monkeypatch.setenv("USP_RETENTION", "nois=90d")
    status, output = await usp("retention", "--apply")
    assert (status, output.strip()) == (
        1,
        "A setting cannot be used. USP_RETENTION: there is no dataset 'nois'; the nearest is noise.",
    )
