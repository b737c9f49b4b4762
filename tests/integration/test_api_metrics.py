"""The platform's figures, for people and for Prometheus: from the database, so that a restart changes nothing."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from usp.api import figures
from usp.keys import create

from tests.integration.conftest import serving  # isort: skip
from tests.integration.test_api_health import count  # isort: skip

if TYPE_CHECKING:
    from tests.integration.conftest import World

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Name and labels -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, metric: str, /, **labels: str) -> float | None:
    """The value of one sample."""
    return found.get((metric, tuple(sorted(labels.items()))))


@pytest.fixture(scope="module")
async def counted(world: "World") -> "World":
    """Counts of two workers, one of which lives."""
    for slot in (0, 1):
        await count(world, slot, "received", 60, kind="lamppost")
        await count(world, slot, "stored", 50, kind="lamppost")
        await count(world, slot, "duplicate", 7, kind="lamppost")
        await count(world, slot, "rejected", 3, kind="lamppost", reason="too_old")
        await count(world, slot, "value_refused", 4, kind="lamppost", reason="wrong_type")
        await count(world, slot, "rows", 90, dataset="air_quality")
        await count(world, slot, "rows", 30, dataset="device_health")
    await count(world, 0, "received", 2, kind="indoor_sensor")
    await count(world, 0, "rows", 2, dataset="indoor_climate")
    await count(world, 0, "received", 3)
    await count(world, 0, "rejected", 5, reason="unknown_device")
    for bound, rows in (("1", 50), ("2", 40), ("inf", 10)):
        await count(world, 0, "delay", rows, dataset="air_quality", reason=bound)
    await count(world, 0, "delay", 20, dataset="weather", reason="60")
    for slot, age in ((0, 1), (1, 3600)):
        await world.db.execute(
            "INSERT INTO usp.worker VALUES ($1, 'host-7', 4711, now(), now() - $2 * interval '1 second', 5, true)",
            slot, age,
        )  # fmt: skip
    return world


@pytest.fixture(scope="module")
async def ops(counted: "World") -> dict[str, str]:
    """An operator's header."""
    return {"Authorization": f"Bearer {await create(counted.db, 'operator', ['ops'])}"}


async def test_prometheus_gets_the_same_figures(client: httpx.AsyncClient, counted: "World") -> None:
    """Added up over all workers, with declared names as labels."""
    assert counted
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = samples(response.text)
    native = {"door": "mqtt", "kind": "lamppost"}
    assert of(found, "usp_items_received_total", **native) == 120
    assert of(found, "usp_items_received_total", door="mqtt", kind="unknown") == 5
    assert of(found, "usp_items_stored_total", **native) == 100
    assert of(found, "usp_items_duplicate_total", **native) == 14
    assert of(found, "usp_items_rejected_total", **native, reason="too_old") == 6
    assert of(found, "usp_values_refused_total", reason="wrong_type") == 8
    assert of(found, "usp_rows_total", dataset="air_quality") == 180
    assert of(found, "usp_in_flight") == 5
    assert (of(found, "usp_worker_up", slot="0"), of(found, "usp_worker_up", slot="1")) == (1, 0)
    assert of(found, "usp_devices", kind="parking_sensor", state="expected") == 2
    assert of(found, "usp_devices", kind="parking_sensor", state="reporting") == 2
    assert of(found, "usp_devices", kind="lamppost", state="silent") == 2
    assert of(found, "usp_devices", kind="indoor_sensor", state="expected") is None
    assert of(found, "usp_delay_seconds_bucket", dataset="air_quality", le="1.0") == 50
    assert of(found, "usp_delay_seconds_bucket", dataset="air_quality", le="3600.0") == 90
    assert of(found, "usp_delay_seconds_bucket", dataset="air_quality", le="+Inf") == 100
    # Nobody has rolled up anything, and how much waits for it is for operators.
    assert of(found, "usp_rolled_up_timestamp_seconds", dataset="air_quality") == 946_684_800
    assert of(found, "usp_rollup_marks", dataset="air_quality") is None
    assert of(found, "usp_last_event_timestamp_seconds", dataset="air_quality") == counted.at(59.5).timestamp()
    assert of(found, "usp_database_up") == 1


async def test_kinds_that_are_all_hidden_are_not_named(
    client: httpx.AsyncClient, counted: "World", ops: dict[str, str]
) -> None:
    """When a hidden device speaks nobody learns from the counters; for operators they are whole, and the sums equal."""
    assert counted
    text = (await client.get("/metrics")).text
    assert "indoor" not in text
    open_found, all_found = samples(text), samples((await client.get("/metrics", headers=ops)).text)
    assert of(all_found, "usp_items_received_total", door="mqtt", kind="indoor_sensor") == 2
    assert of(all_found, "usp_rows_total", dataset="indoor_climate") == 2
    sums = [sum(v for (n, _), v in f.items() if n == "usp_items_received_total") for f in (open_found, all_found)]
    assert sums == [125, 125]


async def test_figures_survive_a_restart(client: httpx.AsyncClient, database_url: str, counted: "World") -> None:
    """Another process of the API tells the same."""
    assert counted
    before = samples((await client.get("/metrics")).text)
    async with serving(database_url) as other:
        after = samples((await other.get("/metrics")).text)

    def lasting(found: Samples) -> Samples:
        return {key: value for key, value in found.items() if key[0].endswith("_total") and "http" not in key[0]}

    before, after = lasting(before), lasting(after)
    before.pop(("process_cpu_seconds_total", ()))
    after.pop(("process_cpu_seconds_total", ()))
    assert before == after
    assert len(before) > 5


async def test_prometheus_may_speak_its_own_dialect(client: httpx.AsyncClient, counted: "World") -> None:
    """OpenMetrics, where it is asked for."""
    assert counted
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert "# TYPE usp_delay_seconds gaugehistogram" in response.text


async def test_labels_are_bounded(client: httpx.AsyncClient) -> None:
    """Paths and methods are made up freely; they are no labels."""
    for number in range(20):
        await client.get(f"/v1/made-up-{number}")
        await client.get(f"/v1/devices/made-up-{number}")
        await client.request(f"MADE{number}", "/v1/devices")
    await client.get("/v1/devices/lamp-corso-lodi-1")
    found = samples((await client.get("/metrics")).text)
    routes = {labels for name, labels in found if name == "usp_http_requests_total"}
    assert (("method", "GET"), ("route", "none"), ("status", "4xx")) in routes
    one = {"method": "GET", "route": "/v1/devices/{device}"}
    assert of(found, "usp_http_requests_total", **one, status="2xx") == 1
    assert of(found, "usp_http_requests_total", **one, status="4xx") == 20
    assert of(found, "usp_http_request_seconds_count", **one) == 21
    assert "made" not in str(routes).lower()


async def test_without_the_database_the_process_still_tells_of_itself(database_url: str) -> None:
    """Prometheus sees that the database is away, and not nothing."""
    async with serving(database_url.replace("/test_", "/nowhere_")) as lonely:
        response = await lonely.get("/metrics")
        found = samples(response.text)
        assert response.status_code == 200
        assert of(found, "usp_database_up") == 0
        assert "usp_items_received_total" not in response.text
        assert (await lonely.get("/metrics?name=x")).status_code == 400


async def test_operators_see_what_else_there_is(
    client: httpx.AsyncClient, counted: "World", ops: dict[str, str]
) -> None:
    """Hidden datasets, and the names of the silent, those that were heard last first."""
    open_body = (await client.get("/health/ingest")).json()
    body = (await client.get("/health/ingest", headers=ops)).json()
    assert "silent_devices" not in open_body
    assert "device_health" not in open_body["datasets"]
    assert body["datasets"]["device_health"]["rows"] == 60
    silent = body["silent_devices"]
    assert silent[0] == {"device": "lamp-corso-lodi-1", "kind": "lamppost", "last_time": counted.text(59.5)}
    assert "station-lodi" not in {row["device"] for row in silent}, "its connectors report, not the station"
    assert len(silent) == sum(kind["silent"] for kind in body["kinds"].values())
    names = {row["device"] for row in silent}
    assert names >= {"lamp-hidden-1", "lamp-ops-1", "meter-hidden-flat"}
    assert not names & {"cp-lodi-1", "bay-corso-lodi-1", "bay-retired-1"}
    found = samples((await client.get("/metrics", headers=ops)).text)
    assert of(found, "usp_rows_total", dataset="device_health") == 60


async def test_each_kind_and_dataset_has_its_own_figures(client: httpx.AsyncClient, counted: "World") -> None:
    """Counts by reason, rates, the newest event and delays; a delay beyond the last bucket says that it is."""
    body: dict[str, Any] = (await client.get("/health/ingest")).json()
    lamps = body["kinds"]["lamppost"]
    assert (lamps["received"], lamps["stored"], lamps["duplicate"], lamps["rejected"]) == (120, 100, 14, 6)
    assert lamps["rejected_by_reason"] == {"too_old": 6}
    assert body["rejected_by_reason"] == {"too_old": 6, "unknown_device": 5}
    assert lamps["rates"]["1m"] == 2.0
    assert lamps["last_event"] == counted.text(59.5)
    assert (lamps["delay_p50_s"], lamps["delay_p95_s"], lamps["delay_over_3600_s"]) == (1.25, 3600.0, 10)
    air = body["datasets"]["air_quality"]
    assert air["row_rates"]["1m"] == 3.0
    assert (air["delay_p50_s"], air["delay_p95_s"], air["delay_over_3600_s"]) == (1.0, 3600.0, 10)
    assert body["datasets"]["noise"]["delay_p50_s"] is None


async def test_devices_are_counted_as_far_as_they_are_seen(
    client: httpx.AsyncClient, counted: "World", ops: dict[str, str]
) -> None:
    """No share in counts for who may not see one; items stay totals, and what one sees nothing of is left out."""
    restricted = {"Authorization": f"Bearer {await create(counted.db, 'restricted', ['read:restricted'])}"}
    for headers, lamps, rooms in (({}, 2, None), (restricted, 3, 1), (ops, 4, 1)):
        body = (await client.get("/health/ingest", headers=headers)).json()
        kinds, datasets = body["kinds"], body["datasets"]
        assert (kinds["lamppost"]["expected"], kinds["lamppost"]["silent"]) == (lamps, lamps)
        assert kinds["lamppost"]["received"] == 120
        assert kinds.get("indoor_sensor", {}).get("expected") == rooms
        assert ("indoor_climate" in datasets) == (rooms is not None)
        found = samples((await client.get("/metrics", headers=headers)).text)
        assert of(found, "usp_devices", kind="lamppost", state="expected") == lamps
        assert of(found, "usp_devices", kind="indoor_sensor", state="expected") == rooms


async def test_a_device_is_silent_after_three_intervals(
    client: httpx.AsyncClient, counted: "World", ops: dict[str, str]
) -> None:
    """Or, where it reports on change, when its last state no longer holds."""

    async def silent() -> set[str]:
        await asyncio.sleep(figures.KEEP_S)
        return {row["device"] for row in (await client.get("/health/ingest", headers=ops)).json()["silent_devices"]}

    async def last(device: str, dataset: str, prop: str, seconds: float) -> None:
        await counted.db.execute(
            f"UPDATE usp.{dataset}_latest SET {prop}_time = now() - $2 * interval '1 second' WHERE device = $1",
            counted.ids[device],
            seconds,
        )

    await last("lamp-corso-lodi-1", "air_quality", "no2", 3 * 600 - 30)
    await last("bay-corso-lodi-1", "parking", "occupied", 90_000 + 30)
    names = await silent()
    assert "lamp-corso-lodi-1" not in names
    assert "bay-corso-lodi-1" in names
    await last("lamp-corso-lodi-1", "air_quality", "no2", 3 * 600 + 30)
    await last("bay-corso-lodi-1", "parking", "occupied", 90_000 - 30)
    # What its battery says does not make it speak.
    await last("lamp-corso-lodi-1", "device_health", "battery", 1)
    await counted.db.execute(
        "UPDATE usp.air_quality_latest SET pm10_time = no2_time WHERE device = $1", counted.ids["lamp-corso-lodi-1"]
    )
    names = await silent()
    assert "lamp-corso-lodi-1" in names
    assert "bay-corso-lodi-1" not in names


async def test_many_questions_are_one_to_the_database(
    client: httpx.AsyncClient, counted: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks again at once gets what was read a moment ago."""
    monkeypatch.setattr(figures, "KEEP_S", 60.0)
    before = (await client.get("/health/ingest")).json()["totals"]["received"]
    await count(counted, 7, "received", 1000, kind="lamppost")
    answers = await asyncio.gather(*(client.get("/health/ingest") for _ in range(20)))
    assert {answer.json()["totals"]["received"] for answer in answers} == {before}
    monkeypatch.setattr(figures, "KEEP_S", 0.0)
    assert (await client.get("/health/ingest")).json()["totals"]["received"] == before + 1000


async def test_every_metric_is_documented(client: httpx.AsyncClient, counted: "World", ops: dict[str, str]) -> None:
    """Whoever meets one can look it up, with its labels."""
    await count(counted, 0, "event", 1, reason="join")
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    lines = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `usp_")}
    await asyncio.sleep(figures.KEEP_S)
    told = (await client.get("/metrics", headers=ops)).text
    found = samples(told)
    for name, line in lines.items():
        labels = {label for sample, given in found if sample.startswith(name) for label, _ in given}
        assert any(sample.startswith(name) for sample, _ in found), name
        assert all(label in line for label in labels - {"le"}), name
    families = set(re.findall(r"^# TYPE (usp_\w+)", told, re.MULTILINE))
    assert {f for f in families if not f.endswith("_gcount")} == set(lines)
