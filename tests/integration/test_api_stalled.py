"""A database that stops without ending: sockets stay open and nobody answers."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.faults.test_stalled import stopped
from tests.integration.conftest import serving

from usp import db
from usp.api import figures
from usp.db import OPEN_ROLE, open_pool
from usp.embedded import Parts, Postgres
from usp.migrate import migrate

DATA = ("/v1/devices", "/v1/datasets", "/v1/datasets/noise/readings?format=csv")


@pytest.fixture
def own(parts: Parts, tmp_path: Path) -> Iterator[Postgres]:
    """A server that nobody else needs."""
    with Postgres(parts, tmp_path, scratch=True) as server:
        yield server


@pytest.mark.parametrize(
    ("grace", "paths", "within"),
    [
        (db.COMMAND_GRACE_S, ["/health/ready"], 4.8),
        (db.COMMAND_GRACE_S, ["/health/ingest"], 6.8),
        # Requests give up on an idle connection after 2 s, not after 35, and on a new one after five.
        (-28.0, [*DATA], 9.0),
    ],
)
async def test_a_frozen_database_is_told_soon(
    own: Postgres, monkeypatch: pytest.MonkeyPatch, grace: float, paths: list[str], within: float
) -> None:
    """Also on connections that were opened before, and everything is well as soon as it goes on."""
    monkeypatch.setattr(db, "COMMAND_GRACE_S", grace)
    monkeypatch.setattr(figures, "KEEP_S", 0.0)
    await asyncio.to_thread(migrate, own.url)
    assert own.process is not None

    async def asked(path: str) -> tuple[int, float]:
        began = time.monotonic()
        response = await client.get(path)
        return response.status_code, time.monotonic() - began

    async with serving(own.url) as client:
        for _ in range(2):
            await _all_well(client)
        with stopped(own.process.pid):
            async with asyncio.timeout(20):
                told = await asyncio.gather(*map(asked, paths))
        assert [status for status, _ in told] == [503] * len(paths), told
        assert max(seconds for _, seconds in told) < within, told
        async with asyncio.timeout(20):
            while (await client.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.1)
        await _all_well(client)


async def test_prometheus_is_told_that_the_database_is_frozen(own: Postgres) -> None:
    """Before it gives up asking, which is after ten seconds; many who ask wait no longer than one."""
    await asyncio.to_thread(migrate, own.url)
    assert own.process is not None
    async with serving(own.url) as client:
        assert "usp_database_up 1.0" in (await client.get("/metrics")).text
        with stopped(own.process.pid):
            await asyncio.sleep(figures.KEEP_S)
            began = time.monotonic()
            answers = await asyncio.gather(*(client.get("/metrics") for _ in range(5)))
            took = time.monotonic() - began
    assert {answer.status_code for answer in answers} == {200}
    assert all("usp_database_up 0.0" in answer.text for answer in answers)
    assert took < 8


async def _all_well(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get(path) for path in ("/health/ready", "/health/ingest", *DATA)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_pool_keeps_no_floor(database_url: str) -> None:
    """A floor would be restored while the server is away, with a traceback every time; who cannot connect is told."""
    pool = await open_pool(database_url, role=OPEN_ROLE, application="test")
    assert pool.get_min_size() == 0
    await pool.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await open_pool(database_url.replace("/test_", "/nowhere_"), role=OPEN_ROLE, application="test")
