"""Aggregates equal a plain computation over raw rows, whatever way the rows came in and whoever rolled them up."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.integration.conftest import serving
from tests.integration.plain import Plain, PlainDevice, PlainRow, Question

from usp.db import WRITER_ROLE, connect
from usp.ingest.batch import Batch
from usp.ingest.rollup import roll_up
from usp.ingest.writer import Writer
from usp.models.bucket import STATISTICS, Statistic, Width
from usp.models.dataset import Aggregation, Dataset, Property, ValueType
from usp.models.datasets import DATASETS

SITES = ("s-one", "s-two")
KINDS = {
    "lamppost": ("weather", "noise", "traffic", "lighting"),
    "charging_point": ("charging",),
    "parking_sensor": ("parking",),
    "energy_meter": ("energy",),
}
#: Both clock changes of 2026, a year's end, and a day like any other.
BEGINNINGS = ("2026-03-28T19:00Z", "2026-10-24T20:00Z", "2025-12-30T22:00Z", "2026-06-10T00:00Z")
DAYS = 4

Stay: TypeAlias = tuple[str | None, datetime, datetime]


class Story:
    """Devices, their rows, and questions about them, all from one source of chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.begin = datetime.fromisoformat(chance.choice(BEGINNINGS))
        self.devices: list[PlainDevice] = []
        self.kinds: dict[str, str] = {}
        self.rows: dict[str, list[PlainRow]] = {}
        for number, kind in enumerate([*KINDS, chance.choice(list(KINDS))]):
            self._device(f"d-{number}", kind)

    def at(self, low: float = 0.0, high: float = DAYS) -> datetime:
        """Some moment; often one on an hour or a quarter of it."""
        time = self.begin + timedelta(seconds=self.chance.randint(int(low * 86400), int(high * 86400)))
        return self.chance.choice(
            [
                time,
                time,
                time.replace(minute=0, second=0),
                time.replace(minute=time.minute // 15 * 15, second=0),
                time.replace(minute=59, second=59, microsecond=999_999),
            ]
        )

    def _device(self, name: str, kind: str) -> None:
        chance = self.chance
        moved = self.at()
        far = timedelta(days=400)
        stays: list[Stay] = [(SITES[0], self.begin - far, moved), (SITES[1], moved, self.begin + far)]
        staying: list[list[Stay]] = [
            stays,
            stays[1:],
            [(SITES[0], self.begin - far, self.begin + far)],
            [(None, *stays[0][1:]), stays[1]],
            [],
        ]
        device = PlainDevice(
            name,
            interval=chance.choice([600.0, 900.0]) if kind in {"lamppost", "energy_meter"} else None,
            max_hold=chance.choice([900.0, 7200.0, 90000.0]),
            modulus={"energy_import": 1000.0} if kind == "energy_meter" else {},
            stays=chance.choice(staying),
            retired=self.at() if chance.random() < 0.2 else None,
        )
        self.devices.append(device)
        self.kinds[name] = kind
        for dataset in KINDS[kind]:
            self.rows.setdefault(dataset, []).extend(self._rows(DATASETS[dataset], device))

    def _rows(self, dataset: Dataset, device: PlainDevice) -> list[PlainRow]:
        chance = self.chance
        around = [chance.uniform(0, DAYS) for _ in range(chance.randint(1, 3))]
        times = {self.at(max(a - 0.1, 0), min(a + 0.1, DAYS)) for a in around for _ in range(12)}
        times |= {self.at() for _ in range(6)}
        registers: dict[str, float] = {}
        found = []
        for time in sorted(times):
            values = {p.name: self._value(p, registers) for p in dataset.properties if chance.random() < 0.6}
            if values:
                flagged = {n for n in values if chance.random() < 0.1}
                found.append(PlainRow(device.name, time, values, flagged, chance.choice([60.0, 600.0, 900.0])))
        return found

    def _value(self, prop: Property, registers: dict[str, float]) -> Any:
        chance = self.chance
        if prop.aggregation is Aggregation.COUNTER:
            value = registers.get(prop.name, 900.0) + chance.choice([0, 1.5, 20, 60])
            value = chance.choice([value] * 8 + [0.5]) % 1000
            registers[prop.name] = value
            return value
        if prop.type is ValueType.BOOLEAN:
            return chance.random() < 0.5
        if prop.states:
            return chance.choice(prop.states[:4])
        if prop.aggregation is Aggregation.SUM:
            return float(chance.randint(0, 50))
        return chance.randint(160, 800) / 8

    def question(self) -> tuple[Question, dict[str, str]]:
        """A question, and the parameters that ask it."""
        chance = self.chance
        dataset = DATASETS[chance.choice(list(self.rows))]
        by = chance.choice(["device", "site", "all"])
        every = [
            (p, s)
            for p in dataset.visible(next(iter(type(dataset.visibility))))
            for s in STATISTICS[p.aggregation]
            if by == "device" or s is not Statistic.LAST
        ]
        asked = chance.sample(every, min(len(every), chance.randint(1, 6)))
        start, end = sorted([self.at(-0.5, DAYS + 0.5), self.at(-0.5, DAYS + 0.5) + timedelta(seconds=1)])
        # A site at which nobody stands is not known.
        known = sorted({site for device in self.devices for site, _, _ in device.stays if site is not None})
        sites = tuple(chance.sample(known, 1)) if known and chance.random() < 0.3 else ()
        bucket = chance.choice([*Width, "whole", "1h", "1d"])
        zone = chance.choice(["Europe/Rome", "Europe/Rome", "UTC", "America/New_York"])
        since, until = (f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for at in (start, end))
        params = {
            "bucket": str(bucket), "by": by, "from": since, "to": until,
            "properties": ",".join(f"{p.name}:{s}" for p, s in asked), "tz": zone, "format": "ndjson",
            **({"site": ",".join(sites)} if sites else {}),
        }  # fmt: skip
        asked_of = [(p, str(s)) for p, s in asked]
        return Question(dataset, asked_of, str(bucket), by, start, end, zone, sites), params


class Keeper:
    """The platform's database: registry, writers and the one who rolls up."""

    def __init__(self, url: str, db: Any) -> None:
        self.url = url
        self.db = db
        self.ids: dict[str, int] = {}

    async def begin(self, story: Story) -> None:
        """An empty database with the story's devices."""
        tables = ", ".join(f"usp.{n}, usp.{n}_latest, usp.{n}_hourly" for n in DATASETS)
        await self.db.execute(
            f"TRUNCATE {tables}, usp.device, usp.profile, usp.site, usp.rollup_mark, usp.rollup_rules, usp.placement "
            "CASCADE; UPDATE usp.rollup SET announced = DEFAULT, rolled = DEFAULT, version = DEFAULT"
        )
        for site in SITES:
            await self.db.execute("INSERT INTO usp.site (name, lon, lat) VALUES ($1, 9, 45)", site)
        for device in story.devices:
            registers = {name: {"modulus": modulus} for name, modulus in device.modulus.items()}
            await self.db.execute(
                "INSERT INTO usp.profile (name, kind, interval, max_hold, definition) VALUES ($1, $2, $3, $4, $5)",
                f"p-{device.name}", story.kinds[device.name], device.interval, device.max_hold,
                orjson.dumps({"registers": registers}).decode(),
            )  # fmt: skip
            self.ids[device.name] = await self.db.fetchval(
                "INSERT INTO usp.device (name, kind, profile, retired_at) VALUES ($1, $2, $3, $4) RETURNING id",
                device.name, story.kinds[device.name], f"p-{device.name}", device.retired,
            )  # fmt: skip
            for place, start, end in device.stays:
                await self.db.execute(
                    "INSERT INTO usp.placement (device, site, lon, lat, valid) VALUES "
                    "($1, (SELECT id FROM usp.site WHERE name = $2), 9, 45, tstzrange($3, $4))",
                    self.ids[device.name], place, start, end,
                )  # fmt: skip

    async def write(self, slot: int, rows: list[tuple[str, PlainRow]]) -> None:
        """Write rows in one transaction, as a worker that has just been started."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test")
        try:
            writer = Writer(slot)
            await writer.prepare(connection)
            batch = Batch()
            batch.add_rows((name, self._row(DATASETS[name], row)) for name, row in rows)
            await writer.commit(connection, batch)
        finally:
            await connection.close()

    async def roll_up(self, until: datetime) -> None:
        """Announce, roll up, repair."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test-rollup")
        try:
            await roll_up(connection, until)
        finally:
            await connection.close()

    def _row(self, dataset: Dataset, row: PlainRow) -> list[Any]:
        period = [row.period] if dataset.interval else []
        present = sum(dataset.bit[name] for name in row.values)
        flagged = sum(dataset.bit[name] for name in row.flagged)
        values = [row.values.get(p.name) for p in dataset.properties]
        return [row.time, self.ids[row.device], *period, *values, flagged, 0, row.time, present]


@pytest.fixture(scope="module")
async def keeper(database_url: str, db: Any) -> Keeper:
    """The module's database."""
    return Keeper(database_url, db)


@pytest.fixture(scope="module")
async def api(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API over it."""
    async with serving(database_url) as client:
        yield client


async def check(api: httpx.AsyncClient, story: Story, rows: list[tuple[str, PlainRow]], count: int) -> None:
    """Ask questions, and compare the answers with the plain ones."""
    for _ in range(count):
        question, params = story.question()
        mine = [row for name, row in rows if name == question.dataset.name]
        response = await api.get(f"/v1/datasets/{question.dataset.name}/readings", params=params)
        assert response.status_code == 200, (params, response.text)
        answer = [orjson.loads(line) for line in response.content.splitlines()]
        assert same(answer, Plain(story.devices, mine, datetime.now(UTC)).answer(question)), params
        if len(answer) < 120:
            assert await paged(api, response.url, story.chance) == answer, params


async def paged(api: httpx.AsyncClient, url: httpx.URL, chance: random.Random) -> list[dict[str, Any]]:
    """The same answer page by page, forwards or backwards, in the order of the whole one."""
    order = chance.choice(["asc", "desc"])
    limit = chance.choice([2, 7, 50])
    following: str | None = str(url.copy_merge_params({"format": "json", "limit": limit, "order": order}))
    found: list[dict[str, Any]] = []
    while following is not None:
        page = (await api.get(following)).json()
        assert len(page["data"]) == limit or page["next"] is None
        found += page["data"]
        following = page["next"]
    return found if order == "asc" else found[::-1]


def same(answer: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Fail with the first difference; means leave as single-precision numbers."""
    assert [(r["start"], r.get("device"), r.get("site")) for r in answer] == [
        (r["start"], r.get("device"), r.get("site")) for r in expected
    ]
    for got, wanted in zip(answer, expected, strict=True):
        assert got.keys() == wanted.keys(), (got, wanted)
        for name, value in wanted.items():
            exact = isinstance(value, str | bool)
            if name.endswith("direction_mean") and abs(got[name] - value) > 359:
                continue  # just left and right of north
            tolerance = 1e-4 if name == "coverage" else max(abs(value) * 1e-5, 2e-3) if not exact else 0
            assert got[name] == value if exact else abs(got[name] - value) <= tolerance, (name, got, wanted)
    return True


@given(st.integers(0, 2**32))
# A smaller number is no smaller story: there is nothing to shrink.
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
async def test_every_aggregate_equals_a_plain_computation(keeper: Keeper, api: httpx.AsyncClient, seed: int) -> None:
    """Late, again, in any order, completed later, by two writers at once while hours are rolled up: always exact."""
    story = Story(random.Random(seed))  # noqa: S311 - chance, not secrecy
    await keeper.begin(story)
    chance = story.chance
    pending = [(name, row) for name, rows in story.rows.items() for row in rows]
    chance.shuffle(pending)
    written: list[tuple[str, PlainRow]] = []
    while pending:
        first, second = ([pending.pop() for _ in range(min(len(pending), chance.randint(0, 60)))] for _ in range(2))
        again = chance.sample(written, min(len(written), 5))
        jobs = [keeper.write(0, first), keeper.write(1, second + again)]
        if chance.random() < 0.8:
            jobs.append(keeper.roll_up(story.at(0, DAYS + 1)))
        await asyncio.gather(*jobs)
        written += first + second
        if chance.random() < 0.3:
            await check(api, story, written, 3)
    await check(api, story, written, 10)
    await keeper.roll_up(story.begin + timedelta(days=DAYS + 2))
    await check(api, story, written, 15)
