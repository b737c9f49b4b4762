"""Health figures from what ingest counted."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.integration.conftest import World


async def count(world: "World", slot: int, what: str, number: int, **key: Any) -> None:
    """Count as a worker does, since ever and in this minute."""
    values = (slot, "mqtt", key.get("kind", ""), key.get("dataset", ""), what, key.get("reason", ""), number)
    if what != "delay":
        await world.db.execute("INSERT INTO usp.ingest_total VALUES ($1, $2, $3, $4, $5, $6, $7)", *values)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    await world.db.execute("INSERT INTO usp.ingest_minute VALUES ($8, $1, $2, $3, $4, $5, $6, $7)", *values, minute)


async def test_counts_add_up_over_workers(client: httpx.AsyncClient, world: "World") -> None:
    """Received = stored + duplicate + rejected, over all slots and kinds, and beside it what is under way."""
    for slot in (0, 1):
        await count(world, slot, "received", 60, kind="lamppost")
        await count(world, slot, "stored", 50, kind="lamppost")
        await count(world, slot, "duplicate", 7, kind="lamppost")
        await count(world, slot, "rejected", 2, kind="lamppost", reason="too_old")
        await count(world, slot, "value_refused", 4, kind="lamppost", reason="wrong_type")
        await count(world, slot, "event", 3, reason="join")
        await count(world, slot, "rows", 90, dataset="air_quality")
    await count(world, 0, "rejected", 2, kind="lamppost", reason="time_in_future")
    for bound, rows in (("1", 50), ("2", 40), ("300", 10)):
        await count(world, 0, "delay", rows, dataset="air_quality", reason=bound)
    await count(world, 0, "delay", 5, dataset="weather", reason="inf")
    for slot, age, connected in ((0, 1, True), (1, 3600, True)):
        await world.db.execute(
            "INSERT INTO usp.worker VALUES ($1, 'host-7', 4711, now(), now() - $2 * interval '1 second', 5, $3)",
            slot, age, connected,
        )  # fmt: skip

    body = (await client.get("/health/ingest")).json()

    assert body["totals"] == {
        "received": 120,
        "stored": 100,
        "duplicate": 14,
        "rejected": 6,
        "events": 6,
        "values_refused": 8,
        "in_flight": 5,
    }
    assert body["rejected_by_reason"] == {"time_in_future": 2, "too_old": 4}
    assert body["values_refused_by_reason"] == {"wrong_type": 8}
    assert body["events_by_kind"] == {"join": 6}
    assert body["rates"] == {"1m": 2.0, "5m": 0.4, "60m": 0.033}
    lamps = body["kinds"]["lamppost"]
    assert (lamps["expected"], lamps["reporting"], lamps["silent"]) == (2, 0, 2)
    assert (lamps["received"], lamps["stored"]) == (120, 100)
    bays = body["kinds"]["parking_sensor"]
    assert (bays["expected"], bays["reporting"], bays["silent"]) == (2, 2, 0)
    air = body["datasets"]["air_quality"]
    assert air["rows"] == 180
    assert air["last_event"] == world.text(59.5)
    assert (air["delay_p50_s"], air["delay_p95_s"]) == (1.0, 180.0)
    assert body["datasets"]["weather"]["delay_p50_s"] == 3600
    assert body["datasets"]["noise"]["delay_p50_s"] is None
    assert [w["alive"] for w in body["workers"]] == [True, False]
    assert "host-7" not in str(body)


async def test_readiness_names_each_dependency(client: httpx.AsyncClient, world: "World") -> None:
    """Without ingest the API is still of use; with an older schema it is not."""
    await world.db.execute("DELETE FROM usp.worker")
    ready = await client.get("/health/ready")
    assert ready.status_code == 200
    checks = ready.json()["dependencies"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "database": "ok",
        "schema": "ok",
        "ingest": "failing",
    }
    insert = "INSERT INTO usp.worker VALUES (0, 'h', 1, now(), now(), 0, $1)"
    await world.db.execute(insert, False)  # noqa: FBT003
    checks = (await client.get("/health/ready")).json()["dependencies"]
    assert "broker" in checks["ingest"]["detail"]
    await world.db.execute("UPDATE usp.worker SET connected = true")
    checks = (await client.get("/health/ready")).json()["dependencies"]
    assert checks["ingest"]["status"] == "ok"

    revision = await world.db.fetchval("SELECT version_num FROM usp.alembic_version")
    await world.db.execute("UPDATE usp.alembic_version SET version_num = '0000'")
    ready = await client.get("/health/ready")
    await world.db.execute("UPDATE usp.alembic_version SET version_num = $1", revision)
    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/problem+json"
    assert "usp migrate" in ready.json()["dependencies"]["schema"]["detail"]


async def test_a_live_process_says_so(client: httpx.AsyncClient) -> None:
    """Without looking at anything else."""
    assert (await client.get("/health/live")).json() == {"status": "alive"}
