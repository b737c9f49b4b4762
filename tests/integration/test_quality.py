"""Quality as data: every figure as a plain computation over the rows gives it, and no more than its reader may see."""

import asyncio
import math
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests.integration.conftest import HIDDEN
from tests.integration.street import START, Sent, on_street
from tests.integration.test_api_visibility import OPEN, TRACES

from usp.api import quality_figures
from usp.api.quality_figures import STUCK_HOURS, STUCK_READINGS
from usp.db import WRITER_ROLE, connect
from usp.ingest.rollup import roll_up
from usp.ingest.writer import Writer
from usp.keys import create
from usp.models.dataset import FLAG_WORDS, ROW_FLAG_NAMES, RowFlag
from usp.models.datasets import DATASETS

if TYPE_CHECKING:
    from tests.integration.conftest import World

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
#: Three days ago: what is fresh is another question.
FROM = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 3 * DAY
WINDOW = {"from": FROM.isoformat(), "to": (FROM + DAY).isoformat()}
SOURCES = {"arrival": RowFlag.TIME_ARRIVAL, "network": RowFlag.TIME_NETWORK, "gateway": RowFlag.TIME_GATEWAY}


@dataclass
class Reading:
    """A raw row: values, those of them that are flagged, the row's flags, and how long it was on its way (s)."""

    time: datetime
    values: dict[str, Any]
    flagged: set[str] = field(default_factory=set)
    flags: int = 0
    delay: float = 1.0
    period: float = 600.0


async def lamp(
    db: Any, name: str, kind: str = "lamppost", interval: float | None = 60, visibility: str = "open"
) -> int:
    """A device of a profile of its own."""
    await db.execute(
        "INSERT INTO usp.profile (name, kind, interval, max_hold, definition) VALUES ($1, $2, $3, 90000, '{}')",
        f"p-{name}", kind, interval,
    )  # fmt: skip
    return int(
        await db.fetchval(
            "INSERT INTO usp.device (name, kind, profile, visibility) VALUES ($1, $2, $3, $4) RETURNING id",
            name, kind, f"p-{name}", visibility,
        )
    )  # fmt: skip


async def store(db: Any, dataset: str, key: int, readings: Iterable[Reading]) -> None:
    """Write rows, and what of them is newest."""
    declared = DATASETS[dataset]
    names = [p.name for p in declared.properties]
    period = ["period"] if declared.interval else []
    columns = ["time", "device", *period, *names, "flagged", "flags", "received_at"]
    rows: list[list[Any]] = [
        [
            r.time,
            key,
            *([r.period] if period else []),
            *(r.values.get(name) for name in names),
            sum(declared.bit[name] for name in r.flagged),
            r.flags,
            r.time + timedelta(seconds=r.delay),
        ]
        for r in readings
    ]
    await db.copy_records_to_table(dataset, schema_name="usp", columns=columns, records=rows)
    # As a writer does: the hours may have been rolled up.
    marks = sorted({(dataset, key, row[0].replace(minute=0, second=0)) for row in rows})
    await db.copy_records_to_table(
        "rollup_mark", schema_name="usp", columns=["dataset", "device", "hour"], records=marks
    )
    newest = {n: max((row for row in rows if row[columns.index(n)] is not None), default=None) for n in names}
    latest = {"device": key, "received_at": max(row[-1] for row in rows)}
    for name, row in newest.items():
        if row is not None:
            latest |= {name: row[columns.index(name)], f"{name}_time": row[0], f"{name}_flags": 0}
            latest |= {f"{name}_period": row[2]} if period else {}
    values = ", ".join(f"${number}" for number in range(1, len(latest) + 1))
    await db.execute(f"INSERT INTO usp.{dataset}_latest ({', '.join(latest)}) VALUES ({values})", *latest.values())


def disc(values: list[float], share: float) -> float | None:
    """The smallest value that is at least as great as this share of all."""
    return round(sorted(values)[math.ceil(share * len(values)) - 1], 3) if values else None


def plain(dataset: str, interval: float, readings: list[Reading]) -> dict[str, Any]:
    """What the answer should be, of one day of a device, from its rows."""
    names = [p.name for p in DATASETS[dataset].properties]
    count = sum(any(name in r.values and name not in r.flagged for name in names) for r in readings)
    flagged = Counter(name for r in readings for name in r.flagged)
    told = Counter(name for r in readings for name in r.values if name not in r.flagged)
    sources = Counter(source for r in readings for source, bit in SOURCES.items() if r.flags & bit)
    delays = [
        r.delay - (r.period if DATASETS[dataset].interval else 0)
        for r in readings
        if not r.flags & RowFlag.TIME_ARRIVAL
    ]
    return {
        "count": count,
        "expected": round(86400 / interval),
        "completeness": round(count / (86400 / interval), 4),
        "flagged": flagged.total(),
        "raw": {
            "from": f"{FROM:%Y-%m-%dT%H:%M:%SZ}",
            "rows": len(readings),
            "late": sum(bool(r.flags & RowFlag.LATE) for r in readings),
            "delay_p50_s": disc(delays, 0.5),
            "delay_p95_s": disc(delays, 0.95),
            "time": {
                "device": len(readings) - sources.total(),
                **{source: sources[source] for source in SOURCES},
            },
        },
        "properties": {name: (told[name], flagged[name]) for name in names},
    }


def shape(found: dict[str, Any]) -> dict[str, Any]:
    """The same of an answer."""
    kept = {name: found[name] for name in ("count", "expected", "completeness", "flagged", "raw")}
    return kept | {"properties": {p["property"]: (p["count"], p["flagged"]) for p in found["properties"]}}


def some_day(chance: random.Random, dataset: str, interval: float) -> list[Reading]:
    """A day of readings with gaps, implausible values, and clocks of all sorts."""
    names = [p.name for p in DATASETS[dataset].properties]
    found = []
    for number in range(int(86400 / interval)):
        values = {name: round(chance.uniform(30, 60), 1) for name in names if chance.random() < 0.9}
        if not values or chance.random() < 0.1:
            continue
        flags = chance.choice((0, 0, 0, 1, 2, 4)) | (8 if chance.random() < 0.05 else 0)
        flagged = {name for name in values if chance.random() < 0.02}
        delay = chance.uniform(3600, 90000) if flags & 8 else chance.expovariate(0.1)
        found.append(Reading(FROM + timedelta(seconds=number * interval), values, flagged, flags, delay))
    return found


async def asked(client: httpx.AsyncClient, path: str, token: str = "", **query: Any) -> dict[str, Any]:
    """The document at an address."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await client.get(path, params=query, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def roll(database_url: str) -> None:
    """Let partials take the place of raw rows."""
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    while await roll_up(connection):
        pass
    await connection.close()


@pytest.mark.parametrize(("dataset", "interval"), [("air_quality", 300.0), ("noise", 600.0)])
async def test_every_figure_is_that_of_the_rows(
    client: httpx.AsyncClient, db: Any, database_url: str, dataset: str, interval: float
) -> None:
    """Counts, completeness, delays and clocks, of a device and of all together, from raw rows and from partials."""
    chance = random.Random(dataset)  # noqa: S311 - the same rows each time
    days, names = [], [f"even-{dataset.replace('_', '-')}-{number}" for number in range(3)]
    for name in names:
        days.append(some_day(chance, dataset, interval))
        await store(db, dataset, await lamp(db, name, interval=interval), days[-1])
    for _ in range(2):
        for name, day in zip(names, days, strict=True):
            found = await asked(client, f"/v1/devices/{name}/quality", **WINDOW)
            (mine,) = found["datasets"]
            assert shape(mine) == plain(dataset, interval, day)
            assert (mine["dataset"], mine["last_time"]) == (dataset, f"{day[-1].time:%Y-%m-%dT%H:%M:%SZ}")
            assert abs(mine["age_s"] - (datetime.now(UTC) - day[-1].time).total_seconds()) < 60
        together = await asked(client, f"/v1/datasets/{dataset}/quality", device=",".join(names), **WINDOW)
        expected = plain(dataset, interval / 3, [reading for day in days for reading in day])
        assert together["raw"].pop("devices") == 3
        assert shape(together) == expected
        assert together["devices"] == {"expected": 3, "reporting": 0, "silent": 3, "flagged": 3, "stuck": 0}
        await roll(database_url)


async def test_a_bay_is_complete_while_its_state_is_known(client: httpx.AsyncClient, db: Any) -> None:
    """Devices without an interval are judged by the share of time in which their state is known."""
    key = await lamp(db, "bay-quality", "parking_sensor", interval=None)
    await store(db, "parking", key, [Reading(FROM + 6 * HOUR, {"occupied": True})])
    (mine,) = (await asked(client, "/v1/devices/bay-quality/quality", **WINDOW))["datasets"]
    assert (mine["count"], mine["expected"], mine["completeness"]) == (1, None, 0.75)
    found = await asked(client, "/v1/datasets/parking/quality", device="bay-quality", **WINDOW)
    assert (found["count"], found["expected"], found["completeness"]) == (1, None, 0.75)
    assert found["worst"][0]["why"] == ["silent", "incomplete"]


def course(values: Iterable[float], step: timedelta, name: str) -> list[Reading]:
    """Readings of one property that end with the window."""
    listed = list(values)
    return [Reading(FROM + DAY - step * (len(listed) - number), {name: v}) for number, v in enumerate(listed)]


def longest_at_the_end(readings: list[Reading], name: str) -> list[Reading]:
    """The hours of UTC at the end in which nothing changes."""
    found: list[Reading] = []
    hours = [list(rows) for _, rows in groupby(readings, lambda r: r.time.replace(minute=0))]
    for rows in reversed(hours):
        if {r.values[name] for r in rows} != {readings[-1].values[name]}:
            break
        found = rows + found
    return found


MINUTE, TEN = timedelta(minutes=1), timedelta(minutes=10)


@pytest.mark.parametrize(
    ("dataset", "name", "step", "values", "stuck"),
    [
        ("weather", "temperature", MINUTE, [*range(20), *[21.5] * 400], True),
        ("weather", "temperature", TEN, [*range(100), *[21.5] * 36], True),
        ("weather", "pressure", TEN, [1000, 1001, *[1013.2] * 30], True),
        ("noise", "laeq", TEN, [*range(30, 70), *[41.1] * 60], True),
        ("weather", "temperature", MINUTE, [*range(20), *[21.5] * 150], False),  # not for long enough
        ("weather", "temperature", timedelta(minutes=30), [*range(20), *[21.5] * 20], False),  # not often enough
        ("weather", "temperature", MINUTE, [*[21.5] * 600, 21.6], False),  # it moves again
        ("weather", "temperature", MINUTE, [21.4, 21.5] * 300, False),
        ("weather", "rainfall", TEN, [0.0] * 144, False),
        ("weather", "rainfall", TEN, [0.2] * 144, False),
        ("weather", "illuminance", TEN, [100.0, *[0.0] * 100], False),
        ("weather", "humidity", TEN, [100.0] * 144, False),
        ("weather", "wind_direction", TEN, [270.0] * 144, False),
        ("lighting", "dimming", TEN, [40.0] * 144, False),
        ("lighting", "power", TEN, [38.5] * 144, False),
        ("lighting", "energy", TEN, [1000.5] * 144, False),
        ("traffic", "vehicles", TEN, [3.0] * 144, False),
        ("lighting", "lit", TEN, [True] * 144, False),
    ],
)
async def test_what_does_not_move_is_told_where_it_should_move(
    client: httpx.AsyncClient, db: Any, dataset: str, name: str, step: timedelta, values: list[float], *, stuck: bool
) -> None:
    """A frozen thermometer is found; a dry day, a dark night and a lamp at its set point are no faults."""
    device = f"stuck-{await db.fetchval('SELECT count(*) FROM usp.device')}"
    readings = course(values, step, name)
    await store(db, dataset, await lamp(db, device, interval=step.total_seconds()), readings)
    (mine,) = (await asked(client, f"/v1/devices/{device}/quality", **WINDOW))["datasets"]
    told = {p["property"]: p["stuck"] for p in mine["properties"] if "stuck" in p}
    over = await asked(client, f"/v1/datasets/{dataset}/quality", device=device, **WINDOW)
    assert over["devices"]["stuck"] == stuck
    assert {p["property"]: p["stuck_devices"] for p in over["properties"]}[name] == stuck
    if not stuck:
        assert told == {}
        return
    run = longest_at_the_end(readings, name)
    since = run[0].time.replace(minute=0)
    assert told == {name: {"value": values[-1], "since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "readings": len(run)}}
    assert len(run) >= STUCK_READINGS
    assert run[-1].time - since >= (STUCK_HOURS - 1) * HOUR
    assert (over["worst"][0]["device"], over["worst"][0]["stuck"]) == (device, [name])


async def test_a_device_that_fell_silent_is_silent_and_not_stuck(client: httpx.AsyncClient, db: Any) -> None:
    """After the last reading there is nothing that could move."""
    readings = [Reading(FROM + TEN * number, {"temperature": 21.5}) for number in range(100)]
    await store(db, "weather", await lamp(db, "silent-1", interval=600), readings)
    found = await asked(client, "/v1/datasets/weather/quality", device="silent-1", **WINDOW)
    assert (found["devices"]["stuck"], found["devices"]["silent"]) == (0, 1)
    earlier = WINDOW | {"to": (FROM + 17 * HOUR).isoformat()}
    assert (await asked(client, "/v1/datasets/weather/quality", device="silent-1", **earlier))["devices"]["stuck"] == 1


async def test_what_came_twice_and_what_was_refused_count_on_the_day_they_came(
    client: httpx.AsyncClient, db: Any, database_url: str
) -> None:
    """Through the writer itself; a replay is the operator's doing, and tells nothing of the device."""
    day = {"from": START.isoformat(), "to": (START + DAY).isoformat()}
    one = {"time": START.isoformat(), "no2": 1.0}
    async with on_street(database_url, db) as street:
        await street.register("lamp-twice", "lamp-once")
        await street.send("lamp-twice", one, one, one, [one, {"time": START.isoformat(), "no2": 2.0}], at=10)
        await street.send("lamp-twice", {"time": START.isoformat(), "no2": "high"}, b"{", at=100)
        await street.send("lamp-twice", one, at=86_400)
        await street.send("lamp-once", one, {"time": START.isoformat(), "pm10": 3.0}, at=10)
        await street.send("lamp-unknown", one, one)
        for expected_days in ({**day}, {**day, "to": (START + 12 * HOUR).isoformat()}):
            found = await asked(client, "/v1/devices/lamp-twice/quality", **expected_days)
            assert (found["duplicate"], found["rejected"]) == (3, 3)
        found = await asked(client, "/v1/devices/lamp-twice/quality", **day | {"to": (START + 25 * HOUR).isoformat()})
        assert (found["duplicate"], found["rejected"]) == (4, 3)
        found = await asked(client, "/v1/devices/lamp-once/quality", **day)
        assert (found["duplicate"], found["rejected"]) == (0, 0)
        found = await asked(client, "/v1/datasets/air_quality/quality", device="lamp-twice,lamp-once", **day)
        assert (found["duplicate"], found["rejected"]) == (3, 3)
        before = await db.fetch("SELECT * FROM usp.device_day ORDER BY device, day")
        assert (await street.replay(address="lamp-twice")).chosen == 3
        assert await db.fetch("SELECT * FROM usp.device_day ORDER BY device, day") == before
        days = await db.fetchval("SELECT count(*) FROM usp.device_day")
        await street.send("lamp-once", {"time": (START + HOUR).isoformat(), "no2": 1.0}, at=7200)
        assert await db.fetchval("SELECT count(*) FROM usp.device_day") == days


async def test_writers_that_meet_count_all_and_do_not_lock_each_other_out(
    client: httpx.AsyncClient, db: Any, database_url: str
) -> None:
    """Several writers, the same devices in other orders, nothing but duplicates."""
    names = [f"lamp-many-{number}" for number in range(40)]
    async with on_street(database_url, db) as street:
        await street.register(*names)
        body = b'[{"time": "2026-01-01T00:00:00Z", "no2": 1.0}]'

        def sent(seed: int) -> list[Sent]:
            order = random.Random(seed).sample(names, len(names))  # noqa: S311 - the same each time
            return [Sent(f"usp/v1/{name}/up", body, START + MINUTE) for name in order]

        await street.take(sent(0))
        others = []
        for number in range(3):
            connection = await connect(database_url, role=WRITER_ROLE, application="test")
            writer = Writer(number + 1)
            await writer.prepare(connection)
            others.append(type(street)(database_url, await asyncpg.connect(database_url), connection, writer))
        await asyncio.gather(*(other.take(sent(number)) for number, other in enumerate(others, 1)))
        for other in others:
            await other.connection.close()
            await other.db.close()
    day = {"from": START.isoformat(), "to": (START + HOUR).isoformat()}
    found = await asked(client, "/v1/datasets/air_quality/quality", device=",".join(names), **day)
    assert found["duplicate"] == 3 * len(names)


async def test_frames_lost_by_radio_are_for_operators(client: httpx.AsyncClient, db: Any) -> None:
    """So is all of the health of devices; others are not told that there is any."""
    key = await lamp(db, "radio-1", interval=600)
    lost = [None, 0, 0, 3, None, 1]
    frames = [
        Reading(FROM + TEN * n, {"frame_counter": float(n)} | ({} if count is None else {"frames_lost": float(count)}))
        for n, count in enumerate(lost)
    ]
    await store(db, "device_health", key, frames)
    await store(db, "weather", key, [Reading(FROM, {"temperature": 20.5})])
    ops, restricted = await create(db, "q-ops", ["ops"]), await create(db, "q-restricted", ["read:restricted"])
    for path in ("/v1/devices/radio-1/quality", "/v1/datasets/weather/quality?device=radio-1"):
        url = httpx.URL(path)
        told = await asked(client, url.path, ops, **url.params, **WINDOW)
        assert told["radio"] == {"frames": 6, "compared": 4, "frames_lost": 4, "share_lost": 0.5}
        for token in ("", restricted):
            other = await asked(client, url.path, token, **url.params, **WINDOW)
            assert "radio" not in other
            assert "frame" not in str(other)
            assert "health" not in str(other)
    mine = await asked(client, "/v1/devices/radio-1/quality", ops, **WINDOW)
    assert [each["dataset"] for each in mine["datasets"]] == ["weather", "device_health"]


async def test_a_health_report_sent_twice_is_no_ones_business(
    client: httpx.AsyncClient, db: Any, database_url: str
) -> None:
    """What tells of nothing but hidden datasets has no share in a count that everybody sees."""
    async with on_street(database_url, db) as street:
        await street.register("lamp-report")
        report = {"time": START.isoformat(), "battery": 50.0}
        await street.send("lamp-report", report, report, {**report, "no2": 1.0}, {**report, "no2": 1.0})
    day = {"from": START.isoformat(), "to": (START + HOUR).isoformat()}
    assert (await asked(client, "/v1/devices/lamp-report/quality", **day))["duplicate"] == 1


@pytest.mark.parametrize("name", HIDDEN)
async def test_a_hidden_device_has_no_quality(client: httpx.AsyncClient, world: "World", name: str) -> None:
    """The answer is that of an unknown one to the letter, and nothing of it is among the others'."""

    async def answer() -> tuple[int, str]:
        response = await client.get(f"/v1/devices/{name}/quality")
        return response.status_code, response.text

    hidden = await answer()
    await world.db.execute("UPDATE usp.device SET name = 'x' || name WHERE name = $1", name)
    unknown = await answer()
    await world.db.execute("UPDATE usp.device SET name = substr(name, 2) WHERE name = 'x' || $1", name)
    assert hidden == unknown
    assert hidden[0] == 404
    for dataset in OPEN:
        response = await client.get(f"/v1/datasets/{dataset}/quality")
        assert response.status_code == 200
        assert not TRACES.search(response.text)
        refused = await client.get(f"/v1/datasets/{dataset}/quality", params={"device": name})
        assert refused.status_code == 400
    unknown_dataset = await client.get("/v1/datasets/device_health/quality")
    assert unknown_dataset.status_code == 404


async def test_hidden_devices_and_properties_have_no_share_in_any_count(
    client: httpx.AsyncClient, world: "World", db: Any
) -> None:
    """Each reader is told of what that reader may see."""
    token = await create(db, "q-sees-more", ["read:restricted"])
    window = {"from": world.text(0), "to": world.text(60)}
    everybody = await asked(client, "/v1/datasets/charging/quality", **window)
    more = await asked(client, "/v1/datasets/charging/quality", token, **window)
    assert (everybody["devices"]["expected"], more["devices"]["expected"]) == (2, 3)
    assert (everybody["count"], more["count"]) == (8, 13)
    assert everybody["raw"]["rows"] == 8
    assert "soc" not in [p["property"] for p in everybody["properties"]]
    assert {p["property"]: p["count"] for p in more["properties"]}["soc"] == 13
    station = await asked(client, "/v1/devices/station-lodi/quality", token, **window)
    assert station["datasets"] == []


async def test_a_place_chooses_devices(client: httpx.AsyncClient, world: "World") -> None:
    """As it does for buckets: by where they stood in each hour, the one that was moved in part."""
    window = {"from": world.text(0), "to": world.text(60)}
    for where in ({"site": "corso-lodi"}, {"bbox": "9.21,45.44,9.22,45.45"}, {"near": "9.2121,45.4466,20"}):
        found = await asked(client, "/v1/datasets/air_quality/quality", **where, **window)
        rows = await client.get(
            "/v1/datasets/air_quality/readings",
            params={"bucket": "whole", "by": "all", **where, "from": found["from"], "to": found["to"]},
        )
        (bucket,) = rows.json()["data"]
        for ours, theirs in (("count", "count"), ("flagged", "flagged")):
            assert found[ours] == bucket[theirs]
        assert abs(found["completeness"] - bucket["coverage"]) < 0.01
        assert found["devices"]["expected"] == 1
        raw = await client.get("/v1/datasets/air_quality/readings", params={**where, **window})
        assert found["raw"]["rows"] == len(raw.json()["data"])
    assert (await asked(client, "/v1/datasets/air_quality/quality", kind="parking_sensor"))["count"] == 0


async def test_of_very_many_rows_some_devices_are_looked_at(
    client: httpx.AsyncClient, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delays and clocks are then those of every n-th device, and the answer says of how many; counts are of all."""
    names = [f"crowd-{number}" for number in range(10)]
    for number, name in enumerate(names):
        readings = [Reading(FROM + HOUR * n, {"co2": 400.5 + n}, delay=number + 1.0) for n in range(24)]
        await store(db, "indoor_climate", await lamp(db, name, "indoor_sensor", interval=3600), readings)
    query = {"device": ",".join(names), **WINDOW}
    found = await asked(client, "/v1/datasets/indoor_climate/quality", **query)
    assert (found["raw"]["devices"], found["raw"]["rows"], found["raw"]["delay_p95_s"]) == (10, 240, 10.0)
    monkeypatch.setattr(quality_figures, "RAW_ROWS", 80)
    some = await asked(client, "/v1/datasets/indoor_climate/quality", **query)
    assert (some["raw"]["devices"], some["raw"]["rows"]) == (4, 96)
    assert {**some, "raw": 0, "age_s": 0} == {**found, "raw": 0, "age_s": 0}


async def test_where_raw_rows_are_gone_counts_are_still_told(
    client: httpx.AsyncClient, db: Any, database_url: str
) -> None:
    """The hourly partials outlive them; delays are of the rows that are left, and the answer says since when."""
    key = await lamp(db, "lamp-old", interval=3600)
    await store(db, "lighting", key, [Reading(FROM + HOUR * n, {"dimming": float(n)}) for n in range(24)])
    await roll(database_url)
    middle = FROM + 12 * HOUR
    await db.execute("DELETE FROM usp.lighting WHERE device = $1 AND time < $2", key, middle)
    await db.execute("UPDATE usp.rollup SET raw_from = $1 WHERE dataset = 'lighting'", middle)
    (mine,) = (await asked(client, "/v1/devices/lamp-old/quality", **WINDOW))["datasets"]
    assert (mine["count"], mine["completeness"]) == (24, 1.0)
    assert (mine["raw"]["from"], mine["raw"]["rows"]) == (f"{middle:%Y-%m-%dT%H:%M:%SZ}", 12)


async def test_flags_are_told_in_words(client: httpx.AsyncClient, world: "World") -> None:
    """Those that occur, and no others."""
    window = {"from": world.text(0), "to": world.text(60)}
    found = await asked(client, "/v1/devices/lamp-corso-lodi-1/quality", **window)
    assert found["flags"].keys() == {"late", "pm10:out_of_range", "time:arrival", "clients:bottom_coded"}
    assert "0 to 1000 µg/m³" in found["flags"]["pm10:out_of_range"]
    wifi = next(each for each in found["datasets"] if each["dataset"] == "wifi")
    assert wifi["properties"][0] == {"property": "clients", "count": 1, "flagged": 0, "bottom_coded": 1}
    assert (await asked(client, "/v1/devices/bay-corso-lodi-1/quality", **window))["flags"] == {}
    page = (Path(__file__).parents[2] / "docs" / "data-quality.md").read_text()
    for flag, words in FLAG_WORDS.items():
        assert re.search(rf"^\| `(<property>:)?{flag}` \| {re.escape(words)} \|$", page, re.MULTILINE), flag
    assert FLAG_WORDS.keys() == {"out_of_range", "bottom_coded", *ROW_FLAG_NAMES.values()}


async def test_the_worst_are_named_and_few(client: httpx.AsyncClient, db: Any) -> None:
    """Those with most faults first; a list, not the register."""
    names = [f"worst-{number:02}" for number in range(25)]
    for number, name in enumerate(names):
        readings = [Reading(FROM + TEN * n, {"co": 0.2 + n / 1000}) for n in range(144 - number)]
        await store(db, "air_quality", await lamp(db, name, interval=600), readings)
    found = await asked(client, "/v1/datasets/air_quality/quality", device=",".join(names), **WINDOW)
    assert [each["device"] for each in found["worst"][:3]] == ["worst-24", "worst-23", "worst-22"]
    assert found["worst"][0] | {"last_time": ""} == {
        "device": "worst-24",
        "why": ["silent", "incomplete"],
        "last_time": "",
        "completeness": round(120 / 144, 4),
        "flagged": 0,
        "stuck": [],
    }
    assert len(found["worst"]) == 20
    assert found["devices"]["expected"] == 25


async def test_without_a_window_it_is_the_last_day_in_full_hours(client: httpx.AsyncClient) -> None:
    """The answer says which; it links to its dataset, and has a mark by which to ask whether anything has changed."""
    response = await client.get("/v1/datasets/weather/quality")
    start, end = (datetime.fromisoformat(response.json()[name]) for name in ("from", "to"))
    assert (start.minute, end.minute, end - start) == (0, 0, 25 * HOUR)
    assert end - HOUR <= datetime.now(UTC) <= end + timedelta(seconds=5)
    assert '</v1/datasets/weather>; rel="describedby"' in response.headers["link"]
    past = await client.get("/v1/devices/bay-retired-1/quality", params={"from": "2026-01-01", "to": "2026-01-02"})
    assert past.status_code == 200
    assert past.headers["etag"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"from": "2026-01-02", "to": "2026-01-01"}, "from"),
        ({"from": "2026-01-01", "to": "2026-03-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"limit": "5"}, "limit"),
        ({"bucket": "1h"}, "bucket"),
        ({"to": "9999-12-31T23:30:00Z"}, "to"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    client: httpx.AsyncClient, query: dict[str, str], parameter: str
) -> None:
    """With what would be right."""
    for path in ("/v1/datasets/weather/quality", "/v1/devices/lamp-corso-lodi-1/quality"):
        response = await client.get(path, params=query)
        if parameter == "to":
            assert response.status_code in {200, 400}
            continue
        assert response.status_code == 400, response.text
        assert response.json()["parameter"] == parameter
    assert (await client.get("/v1/devices/lamp-corso-lodi-1/quality", params={"site": "corso-lodi"})).status_code == 400
    assert (await client.get("/v1/datasets/weather/quality", params={"format": "csv"})).status_code == 400
