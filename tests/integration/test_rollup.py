"""Hourly partials: who may still be writing is waited for, marks are taken once, and other rules make them anew."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.integration.conftest import World, serving

from usp.db import WRITER_ROLE, connect
from usp.ingest.batch import Batch
from usp.ingest.marks import mark
from usp.ingest.rollup import roll_up
from usp.ingest.statements import DatasetStatements
from usp.ingest.writer import Writer
from usp.models import partials
from usp.models.datasets import DATASETS

HOUR = timedelta(hours=1)


@pytest.fixture
async def writing(database_url: str) -> AsyncIterator[Any]:
    """A writer's connection."""
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    await Writer(0).prepare(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def rolling(database_url: str) -> AsyncIterator[Any]:
    """The connection of who rolls up."""
    connection = await connect(database_url, role=WRITER_ROLE, application="test-rollup")
    yield connection
    await connection.close()


def no2(world: World, time: datetime, value: float) -> Batch:
    """A batch with one reading of corso Lodi's lamppost."""
    dataset = DATASETS["air_quality"]
    values = [value if p.name == "no2" else None for p in dataset.properties]
    batch = Batch()
    batch.add_rows([("air_quality", [time, world.ids["lamp-corso-lodi-1"], *values, 0, 0, time, dataset.bit["no2"]])])
    return batch


async def insert(connection: Any, batch: Batch) -> None:
    """Write a batch's row and its mark, as a writer does, in the transaction that is open."""
    statements = DatasetStatements(DATASETS["air_quality"])
    rows = batch.rows["air_quality"].rows
    await connection.copy_records_to_table(statements.stage, records=rows, columns=statements.columns)
    await connection.execute(statements.insert)
    await mark(connection, batch)


async def mean(client: httpx.AsyncClient, hour: datetime) -> tuple[Any, int]:
    """The mean and the count of an hour, as the API tells them."""
    params = {
        "device": "lamp-corso-lodi-1", "properties": "no2", "bucket": "1h",
        "from": hour.isoformat().replace("+00:00", "Z"), "to": (hour + HOUR).isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    (row,) = (await client.get("/v1/datasets/air_quality/readings", params=params)).json()["data"]
    return row.get("no2_mean"), row["count"]


async def rolled(db: Any) -> datetime:
    """How far the hours of air_quality are rolled up."""
    found: datetime = await db.fetchval("SELECT rolled FROM usp.rollup WHERE dataset = 'air_quality'")
    return found


async def test_who_is_still_writing_is_waited_for(
    world: World, db: Any, writing: Any, rolling: Any, client: httpx.AsyncClient
) -> None:
    """A transaction that wrote before an hour was announced commits after it: its row is in the aggregates."""
    hour = datetime(2025, 3, 1, 10, tzinfo=UTC)
    transaction = writing.transaction()
    await transaction.start()
    await insert(writing, no2(world, hour, 40.0))
    await roll_up(rolling, hour + 5 * HOUR)
    assert await rolled(db) < hour
    await transaction.commit()
    assert await db.fetchval("SELECT count(*) FROM usp.rollup_mark") == 0
    assert await mean(client, hour) == (40.0, 1)
    await roll_up(rolling, hour + 5 * HOUR)
    assert await rolled(db) == hour + 5 * HOUR
    assert await mean(client, hour) == (40.0, 1)


async def test_a_mark_that_comes_while_marks_are_taken_stays(
    world: World, db: Any, writing: Any, rolling: Any, client: httpx.AsyncClient
) -> None:
    """A late row whose transaction ends after a repair of the same hour is repaired by the next."""
    hour = datetime(2025, 4, 1, 10, tzinfo=UTC)
    await roll_up(rolling, hour + 5 * HOUR)
    async with writing.transaction():
        await insert(writing, no2(world, hour, 10.0))
    assert await mean(client, hour) == (10.0, 1)
    transaction = writing.transaction()
    await transaction.start()
    await insert(writing, no2(world, hour + HOUR / 2, 20.0))
    await roll_up(rolling, hour + 5 * HOUR)
    assert await mean(client, hour) == (10.0, 1)
    await transaction.commit()
    assert await mean(client, hour) == (15.0, 2)
    assert await db.fetchval("SELECT count(*) FROM usp.rollup_mark") == 1
    await roll_up(rolling, hour + 5 * HOUR)
    assert await db.fetchval("SELECT count(*) FROM usp.rollup_mark") == 0
    assert await mean(client, hour) == (15.0, 2)
    stored = await db.fetchval("SELECT no2_sum FROM usp.air_quality_hourly WHERE hour = $1 AND no2_count = 2", hour)
    assert stored == 30.0


async def test_another_rule_makes_partials_anew(world: World, db: Any, writing: Any, rolling: Any) -> None:
    """A register's modulus that is learnt later counts for the hours before, and so does another version of ours."""
    hour = datetime(2025, 5, 1, 10, tzinfo=UTC)
    dataset, meter = DATASETS["energy"], world.ids["meter-main"]
    batch = Batch()
    for minute, value in ((1, 990.0), (2, 5.0)):
        values = [value if p.name == "energy_import" else None for p in dataset.properties]
        time = hour + timedelta(minutes=minute)
        batch.add_rows([("energy", [time, meter, *values, 0, 0, time, dataset.bit["energy_import"]])])
    await Writer(0).commit(writing, batch)
    await roll_up(rolling, hour + 5 * HOUR)
    increase = "SELECT energy_import_increase FROM usp.energy_hourly WHERE device = $1 AND hour = $2"
    assert await db.fetchval(increase, meter, hour) == 5.0
    await db.execute(
        'UPDATE usp.profile SET definition = \'{"registers": {"energy_import": {"modulus": 1000}}}\' '
        "WHERE name = 'test-energy-meter'"
    )
    await roll_up(rolling, hour + 5 * HOUR)
    assert await db.fetchval(increase, meter, hour) == 15.0
    await db.execute("UPDATE usp.energy_hourly SET energy_import_increase = -1, version = 0")
    await db.execute("UPDATE usp.rollup SET version = 0")
    await roll_up(rolling, hour + 5 * HOUR)
    assert await db.fetchval(increase, meter, hour) == 15.0
    assert await db.fetchval("SELECT min(version) FROM usp.energy_hourly") == partials.VERSION


async def test_what_is_hidden_is_in_no_aggregate(world: World, database_url: str, rolling: Any) -> None:
    """Neither a hidden device nor a hidden property has a share in what is told to strangers, rolled up or not."""
    async with serving(database_url) as stranger:
        for until in (world.start - HOUR, world.end + 2 * HOUR):
            await roll_up(rolling, until)
            params = {"bucket": "whole", "from": world.text(0), "to": world.text(60), "by": "all"}
            answer = await stranger.get("/v1/datasets/charging/readings", params=params)
            (row,) = answer.json()["data"]
            assert row["count"] == 8
            assert not [name for name in row if name.startswith("soc")]
            refused = await stranger.get("/v1/datasets/charging/readings", params=params | {"properties": "soc:last"})
            assert refused.status_code == 400
            (row,) = (await stranger.get("/v1/datasets/air_quality/readings", params=params)).json()["data"]
            assert row["count"] == 2 * 60 + 1
            assert (await stranger.get("/v1/datasets/indoor_climate/readings", params=params)).json()["data"] == []
