"""Exports last as long as their clients like; everything else goes on meanwhile."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from usp.api import database as databases
from usp.api.app import create_app
from usp.api.auth import make_readers
from usp.api.database import Database
from usp.api.problems import TooManyExports
from usp.models.dataset import Visibility
from usp.settings import Settings

import httpx  # isort: skip

if TYPE_CHECKING:
    from tests.integration.conftest import World

READINGS = "/v1/datasets/air_quality/readings"
CSV, JSON = f"{READINGS}?format=csv", f"{READINGS}?format=json"


async def busy(stack: AsyncExitStack, database: Database) -> int:
    """Start exports that nobody reads until no more are let in; how many there are."""
    for number in range(100):
        try:
            await stack.enter_async_context(database.export())
        except TooManyExports:
            return number
    raise AssertionError


async def test_slow_exports_starve_nobody(world: "World", database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One export too many is told to come back; pages are answered all the while."""
    assert world.ids
    monkeypatch.setattr(databases, "WAIT_S", 0.3)
    app = create_app(Settings(_env_file=None, database_url=database_url))  # type: ignore[call-arg]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client,
    ):
        async with AsyncExitStack() as stack:
            running = await busy(stack, app.state.readers[Visibility.OPEN].database)
            assert 2 <= running <= 5
            for name in ("csv", "ndjson", "parquet"):
                refused = await client.get(f"{READINGS}?format={name}")
                assert refused.status_code == 503
                assert refused.headers["retry-after"] == "5"
                assert refused.headers["content-type"] == "application/problem+json"
                assert "export" in refused.json()["detail"]
            pages = await asyncio.gather(*(client.get(JSON) for _ in range(20)))
            assert {page.status_code for page in pages} == {200}
            assert (await client.get("/v1/devices")).status_code == 200
        assert (await client.get(CSV)).status_code == 200


async def test_every_reader_keeps_connections_free(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the smaller pools of those who hold tokens."""
    monkeypatch.setattr(databases, "WAIT_S", 0.3)
    for reader in make_readers(database_url).values():
        async with AsyncExitStack() as stack:
            monkeypatch.setattr(databases, "WAIT_S", 5.0)
            async with reader.database.connection() as connection:
                assert await connection.fetchval("SHOW search_path") == reader.visibility
            monkeypatch.setattr(databases, "WAIT_S", 0.3)
            assert await busy(stack, reader.database) >= 2
            async with reader.database.connection() as connection:
                assert await connection.fetchval("SELECT 1") == 1
        await reader.database.close()
