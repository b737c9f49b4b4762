"""Selections that no address makes yet, or only a large one: in slices, of buckets, very wide."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from usp.api import queries
from usp.api.auth import make_readers
from usp.api.database import Database
from usp.api.representations import choose
from usp.api.selection import Column, ColumnType, Selection
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.query import Page, Places, ReadingQuery, TimeWindow

if TYPE_CHECKING:
    from tests.integration.conftest import World


@pytest.fixture(scope="module")
async def database(world: "World", database_url: str) -> AsyncIterator[Database]:
    """What strangers read from."""
    assert world.ids
    reader = make_readers(database_url)[Visibility.OPEN]
    yield reader.database
    await reader.database.close()


async def readings(world: "World", database: Database, page: Page) -> Selection:
    """Twelve hours of two lampposts' air, in the order of their times."""
    dataset = DATASETS["air_quality"]
    query = ReadingQuery(
        dataset=dataset,
        properties=dataset.properties[:2],
        window=TimeWindow(world.start, world.end + timedelta(days=40)),
        places=Places(),
        where=(),
        page=page,
    )
    selection = await queries.readings(query, database)
    return replace(selection, span=None)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["csv", "ndjson", "parquet"])
async def test_slices_make_the_same_answer(
    world: "World", database: Database, name: str, monkeypatch: pytest.MonkeyPatch, *, descending: bool
) -> None:
    """An export that is fetched slice by slice is the same to the letter."""
    monkeypatch.setattr("usp.api.representations.copying._FIRST_SLICE", timedelta(minutes=7))
    monkeypatch.setattr("usp.api.representations.copying._SLICE_ROWS", 20)
    whole = await readings(world, database, Page(None, descending=descending))
    start = list(whole.values).index(world.start)
    sliced = replace(whole, span=(start, start + 1), descending=descending)

    async def answer(selection: Selection) -> bytes:
        chunks = choose(name, None).chunks(selection, database, str)
        return b"".join([chunk async for chunk in chunks])

    assert await answer(sliced) == await answer(whole)
    assert len(await answer(whole)) > 500
    limited = replace(sliced, limit=3)
    assert await answer(limited) == await answer(replace(whole, limit=3))


@pytest.mark.parametrize("name", ["json", "geojson", "parquet"])
async def test_aggregates_tell_their_window(world: "World", database: Database, name: str) -> None:
    """What was asked for stands in the answer: from, to, bucket."""
    told = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "bucket": "1mo"}
    selection = await readings(world, database, Page(2))
    selection = replace(selection, about={**selection.about, **told})
    chunks = choose(name, None).chunks(selection, database, lambda cursor: f"http://x/{cursor}")
    content = b"".join([chunk async for chunk in chunks])
    if name == "parquet":
        metadata = pyarrow.parquet.read_schema(io.BytesIO(content)).metadata
        assert {key: metadata[key.encode()].decode() for key in told} == told
    else:
        assert {key: json.loads(content)[key] for key in told} == told
        assert json.loads(content)["next"].startswith("http://x/")


@pytest.mark.parametrize("count", [89, 90, 91, 300])
async def test_rows_may_be_wide(world: "World", database: Database, count: int) -> None:
    """Wider than PostgreSQL's functions take arguments."""
    columns = tuple(Column(f"c{number}", ColumnType.NUMBER) for number in range(count))
    listed = ", ".join(f"{number} AS {column.name}" for number, column in enumerate(columns))
    wide = Selection(
        name="wide", sql=f"SELECT {listed} LIMIT $1::bigint", values=(), columns=columns, limit=None, cursor=str
    )
    told = {f"c{number}": number for number in range(count)}

    async def answer(name: str) -> Any:
        return json.loads(b"".join([chunk async for chunk in choose(name, None).chunks(wide, database, str)]))

    assert (await answer("json"))["data"] == [told]
    assert await answer("ndjson") == told
    assert (await answer("geojson"))["features"][0]["properties"] == told
