"""What app developers have always asked: one request each, and the same answer as a plain computation of raw rows."""

import io
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from tests.integration.conftest import Connection, serving
from tests.integration.district import MAIN, PLANT, STATION, District, Reading

ROME = ZoneInfo("Europe/Rome")
#: Both nights in which the clock changes lie in the year, one of them in the week and one is the night.
YEAR = (datetime(2024, 10, 1, tzinfo=ROME), datetime(2025, 11, 1, tzinfo=ROME))
WEEK = (datetime(2025, 10, 20, tzinfo=ROME), datetime(2025, 10, 27, tzinfo=ROME))
NIGHT = (datetime(2025, 10, 25, 22, tzinfo=ROME), datetime(2025, 10, 26, 6, tzinfo=ROME))
#: From here one bay is 298 m away, and the next one 301 m.
PLACE, INSIDE, OUTSIDE = (9.20677, 45.45607), "bay-via-pier-lombardo-1", "bay-via-pier-lombardo-4"
STATES = ("available", "preparing", "charging", "suspended", "finishing", "reserved", "unavailable", "faulted")
#: After so long a charging point that says nothing is in an unknown state (its profile).
HOLD = timedelta(hours=1)
SILENT = "lamp-viale-lazio-1"
HIDDEN, RETIRED, TAKEN = "bay-via-pier-lombardo-2", "bay-via-pier-lombardo-3", "bay-viale-monte-nero-1"

Rows = list[dict[str, Any]]
#: Of each dataset and device, in the order of their times.
Stored = dict[str, dict[str, Rows]]


@pytest.fixture(scope="module")
async def city(database_url: str, db: Connection) -> District:
    """Thirteen months of the district."""
    city = District(database_url, db)
    await city.register()
    day, hour = timedelta(days=1), timedelta(hours=1)
    await city.put("energy", (r for r in city.energy(YEAR[0] - day, YEAR[1] + day, hour) if not _holiday(r.time)))
    await city.put("air_quality", city.air(*YEAR, 6 * hour))
    await city.put("charging", city.charging(WEEK[0] - day, WEEK[1] + day))
    noise = city.noise(NIGHT[0].astimezone(UTC) - hour, NIGHT[1] + hour)
    await city.put("noise", (r for r in noise if r.device != SILENT or r.time < NIGHT[0]))
    ends = [Reading(bay, WEEK[1], {"occupied": bay == TAKEN}) for bay in (INSIDE, OUTSIDE, TAKEN)]
    await city.put("parking", reversed([*city.parking(*WEEK), *ends]))
    await db.execute("UPDATE usp.device SET visibility = 'restricted' WHERE name = $1", HIDDEN)
    await db.execute("UPDATE usp.device SET retired_at = $2 WHERE name = $1", RETIRED, WEEK[1])
    return city


@pytest.fixture(scope="module")
async def stored(city: District) -> Stored:
    """All raw rows, as the database's owner sees them."""
    columns = {
        "noise": "period, laeq", "parking": "occupied", "charging": "status, energy", "air_quality": "pm2_5",
        "energy": "energy_import, energy_export",
    }  # fmt: skip
    found: Stored = {}
    for dataset, listed in columns.items():
        devices: dict[str, Rows] = defaultdict(list)
        for row in await city.db.fetch(
            f"SELECT d.name, r.time, {listed} FROM usp.{dataset} r JOIN usp.device d ON d.id = r.device ORDER BY r.time"
        ):
            devices[row["name"]].append(dict(row))
        found[dataset] = dict(devices)
    return found


def _holiday(time: datetime) -> bool:
    """When the building's gateway was off: over the end of a month."""
    return datetime(2025, 4, 29, 20, tzinfo=UTC) < time < datetime(2025, 5, 2, 5, tzinfo=UTC)


@pytest.fixture(scope="module", params=["raw rows", "half of it rolled up", "all of it rolled up"])
async def api(request: pytest.FixtureRequest, city: District, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API, however far the partials have come."""
    until = {"h": datetime(2025, 10, 23, 7, tzinfo=UTC), "a": YEAR[1] + timedelta(days=3)}.get(request.param[0])
    if until is not None:
        await city.roll_up(until)
    async with serving(database_url) as client:
        yield client


async def ask(api: httpx.AsyncClient, dataset: str, what: str, **params: str) -> httpx.Response:
    """One request; nothing is left for another."""
    response = await api.get(f"/v1/datasets/{dataset}/{what}", params=params)
    assert response.status_code == 200, response.text
    assert 'rel="next"' not in response.headers.get("Link", "")
    return response


def window(span: tuple[datetime, datetime]) -> dict[str, str]:
    """`from` and `to`."""
    return {"from": span[0].isoformat(), "to": span[1].isoformat()}


def days(span: tuple[datetime, datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Days of Rome, in UTC: one has 25 hours."""
    start = span[0]
    while start < span[1]:
        end = start + timedelta(days=1)  # by the wall clock
        yield start.astimezone(UTC), end.astimezone(UTC)
        start = end


async def test_last_nights_noise_map(city: District, stored: Stored, api: httpx.AsyncClient) -> None:
    """One feature for each lamppost, where it stands, with the energetic mean from ten in the evening till six."""
    response = await ask(
        api, "noise", "readings", bucket="whole", properties="laeq", kind="lamppost", format="geojson", **window(NIGHT)
    )
    answer = response.json()
    features = {f["properties"]["device"]: f for f in answer["features"]}
    rows = stored["noise"]
    assert len(features) == len(answer["features"]) == len(rows) == 20
    assert (NIGHT[1].astimezone(UTC) - NIGHT[0].astimezone(UTC)) / timedelta(hours=1) == 9
    for lamp, feature in features.items():
        device = city.devices[lamp]
        assert feature["geometry"] == {"type": "Point", "coordinates": [device.lon, device.lat]}
        heard = [r for r in rows[lamp] if NIGHT[0] <= r["time"].astimezone(ROME) and r["time"] < NIGHT[1]]
        heard = [r for r in heard if 20 <= r["laeq"] <= 140]
        told = feature["properties"]
        assert told["count"] == len(heard)
        if not heard:
            assert lamp == SILENT
            assert "laeq_mean" not in told
            continue
        energy = sum(r["period"] * 10 ** (r["laeq"] / 10) for r in heard) / sum(r["period"] for r in heard)
        assert told["laeq_mean"] == pytest.approx(10 * math.log10(energy), abs=1e-3)
    assert answer["units"]["laeq_mean"] == "dB(A)"


async def test_free_bays_for_disabled_people(city: District, stored: Stored, api: httpx.AsyncClient) -> None:
    """Within 300 m of where somebody stands, those that are free now; none that is hidden or out of service."""
    near = f"{PLACE[0]},{PLACE[1]},300"
    response = await ask(api, "parking", "latest", where="occupied:false", category="disabled", near=near)
    rows = stored["parking"]
    bays = [city.devices[bay] for bay in rows if city.devices[bay].category == "disabled"]
    close = {bay.name for bay in bays if bay.lon and bay.lat and metres(PLACE, (bay.lon, bay.lat)) <= 300}
    assert {HIDDEN, RETIRED, TAKEN, INSIDE} < close
    assert OUTSIDE not in close
    free = {bay for bay in close - {HIDDEN, RETIRED} if not rows[bay][-1]["occupied"]}
    assert INSIDE in free
    answer = response.json()["data"]
    assert {row["device"] for row in answer} == free
    assert all(row["occupied"] is False and row["time"] == text(rows[row["device"]][-1]["time"]) for row in answer)


def metres(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Along the great circle, by the chord between two points of a sphere."""
    ends = []
    for lon, lat in (here, there):
        east, north = math.radians(lon), math.radians(lat)
        ends.append((math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)))
    return 2 * 6_371_008.8 * math.asin(math.dist(*ends) / 2)


def text(time: datetime) -> str:
    """As the API writes it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("bucket", ["1d", "whole"])
@pytest.mark.parametrize("by", ["device", "all"])
async def test_a_stations_week(stored: Stored, api: httpx.AsyncClient, bucket: str, by: str) -> None:
    """The station selects its points: how long each state held, how often it changed, and what was delivered."""
    response = await ask(
        api, "charging", "readings", device=STATION, bucket=bucket, by=by, properties="status,energy", **window(WEEK)
    )
    answer = response.json()["data"]
    points = stored["charging"]
    assert len(points) == 6
    spans = [*days(WEEK)] if bucket == "1d" else [(WEEK[0].astimezone(UTC), WEEK[1].astimezone(UTC))]
    groups = {name: {name: rows} for name, rows in points.items()} if by == "device" else {None: points}
    expected = [(text(start), key, week_of(rows, start, end)) for start, end in spans for key, rows in groups.items()]
    assert [(row["start"], row.get("device")) for row in answer] == [(start, key) for start, key, _ in expected]
    for row, (_, _, wanted) in zip(answer, expected, strict=True):
        assert {name: row.get(name, 0) for name in wanted} == pytest.approx(wanted, abs=2e-3)
    assert any(row["coverage"] < 0.999 for row in answer)
    assert sum(row["status_faulted_seconds"] for row in answer) > 0


def week_of(points: dict[str, Rows], start: datetime, end: datetime) -> dict[str, float]:
    """Seconds of each state, changes, energy and known share of some charging points."""
    found: dict[str, float] = {f"status_{state}_seconds": 0 for state in STATES}
    found |= {"status_changes": 0, "energy_increase": 0.0}
    for rows in points.values():
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            until = row["time"] + HOLD if after is None else min(after["time"], row["time"] + HOLD)
            held = (min(until, end) - max(row["time"], start)).total_seconds()
            found[f"status_{row['status']}_seconds"] += max(held, 0)
            if after is not None and start <= after["time"] < end:
                found["status_changes"] += row["status"] != after["status"]
            if after is not None and start < after["time"] <= end:
                found["energy_increase"] += register_step(row["energy"], after["energy"])
    known = sum(seconds for name, seconds in found.items() if name.endswith("seconds"))
    return found | {"coverage": round(known / len(points) / (end - start).total_seconds(), 4)}


def register_step(before: float, now: float) -> float:
    """A register that falls has begun anew."""
    return now - before if now >= before else now


async def test_thirteen_months_of_a_building(stored: Stored, api: httpx.AsyncClient) -> None:
    """Imported and exported energy by local month; the main meter was replaced, and once the gateway was off."""
    response = await ask(
        api, "energy", "readings", device=MAIN, category="main,photovoltaic", bucket="1mo",
        properties="energy_import,energy_export", **{"from": "2024-10-01", "to": "2025-11-01"},
    )  # fmt: skip
    answer = response.json()
    months = [datetime(2024 + m // 12, m % 12 + 1, 1, tzinfo=ROME).astimezone(UTC) for m in range(9, 23)]
    assert (answer["from"], answer["to"]) == (text(months[0]), text(months[-1]))
    expected = []
    for start, end in pairwise(months):
        for meter in (MAIN, PLANT):
            rows = stored["energy"][meter]
            energy = [sum_of(rows, name, start, end) for name in ("energy_import", "energy_export")]
            expected.append((text(start), meter, *(pytest.approx(value, abs=1e-5) for value in energy)))
    told = [(r["start"], r["device"], r["energy_import_increase"], r["energy_export_increase"]) for r in answer["data"]]
    assert told == expected
    assert len(told) == 26


def sum_of(rows: Rows, name: str, start: datetime, end: datetime) -> float:
    """Between the last readings at or before both ends, however old."""
    times = [row["time"] for row in rows]
    values = [row[name] for row in rows[max(bisect_right(times, start) - 1, 0) : bisect_right(times, end)]]
    return sum(register_step(before, now) for before, now in pairwise(values))


async def test_a_year_of_fine_dust_as_parquet(stored: Stored, api: httpx.AsyncClient) -> None:
    """Every reading of every lamppost, in three libraries' hands, with flags and units."""
    span = (datetime(2024, 11, 1, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC))
    response = await ask(api, "air_quality", "readings", properties="pm2_5", format="parquet", **window(span))
    table = pq.read_table(io.BytesIO(response.content))
    assert table.schema.field("pm2_5").metadata[b"unit"] == "µg/m³".encode()
    assert table.schema.metadata[b"licence"] == b"CC-BY-4.0"
    flat = [(r["time"], r["name"], r["pm2_5"]) for rows in stored["air_quality"].values() for r in rows]
    expected = pl.DataFrame(
        flat, {"time": pl.Datetime("us", "UTC"), "device": pl.String, "pm2_5": pl.Float32}, orient="row"
    )
    expected = expected.filter(pl.col("time").is_between(*span, closed="left")).sort("time", "device")
    frame = pl.read_parquet(io.BytesIO(response.content))
    assert frame.select("time", "device", "pm2_5").equals(expected)
    assert frame.height > 25_000
    impossible = frame.filter(pl.col("flags").list.contains("pm2_5:out_of_range"))
    assert impossible.height == expected.filter(pl.col("pm2_5") > 1000).height > 0
    dust = pd.read_parquet(io.BytesIO(response.content))
    assert str(dust["time"].dtype) == "datetime64[us, UTC]"
    assert dust["pm2_5"].sum() == pytest.approx(expected["pm2_5"].cast(pl.Float64).sum(), rel=1e-5)


async def test_a_year_of_daily_means_as_parquet(stored: Stored, api: httpx.AsyncClient) -> None:
    """Each lamppost, each local day: the mean without what is impossible, and how many were left out."""
    response = await ask(
        api, "air_quality", "readings", properties="pm2_5", bucket="1d", format="parquet", **window(YEAR)
    )
    days_of: dict[tuple[Any, str], list[float]] = defaultdict(list)
    for lamp, rows in stored["air_quality"].items():
        for row in rows:
            days_of[row["time"].astimezone(ROME).date(), lamp].append(row["pm2_5"])
    frame = pl.read_parquet(io.BytesIO(response.content))
    frame = frame.with_columns(pl.col("start").dt.convert_time_zone("Europe/Rome").dt.date().alias("day"))
    told = {row[:2]: row[2:] for row in frame.select("day", "device", "pm2_5_mean", "count", "flagged").iter_rows()}
    assert len(told) == frame.height == 396 * 20
    for key, (mean, count, flagged) in told.items():
        good = [value for value in days_of[key] if value <= 1000]
        assert (count, flagged) == (len(good), len(days_of[key]) - len(good))
        assert mean is None if not good else math.isclose(mean, sum(good) / len(good), rel_tol=1e-6)
