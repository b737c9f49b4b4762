"""Real servers for the tests: those that `make run` starts, thrown away afterwards."""

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from usp.embedded import Mosquitto, Parts, Postgres, get_parts
from usp.migrate import migrate

# A developer's own settings must not reach into the tests.
for name in [key for key in os.environ if key.upper().startswith("USP_")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The unpacked servers."""
    return get_parts()


@pytest.fixture(scope="session")
def postgres(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One TimescaleDB for all tests; each takes databases of its own."""
    with Postgres(parts, tmp_path_factory.mktemp("postgres"), scratch=True) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a migrated database that nobody connects to, so that it can be copied."""
    migrate(postgres.url)
    return "usp"


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture(scope="session")
def empty_database(postgres: Postgres, _numbers: Iterator[int]) -> Callable[..., Awaitable[str]]:
    """Make a database without any schema; returns its URL."""

    async def make(template: str = "template0") -> str:
        name = f"test_{next(_numbers)}"
        connection = await asyncpg.connect(postgres.url_of("postgres"))
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        await connection.close()
        return postgres.url_of(name)

    return make


@pytest.fixture(scope="module")
async def database_url(empty_database: Callable[..., Awaitable[str]], template: str) -> str:
    """A fresh, migrated database for each test module."""
    return await empty_database(template)


@pytest.fixture(scope="module")
async def db(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to it, as its owner."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def broker(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A fresh broker for each test module."""
    with Mosquitto(parts, tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="module")
def broker_url(broker: Mosquitto) -> str:
    """Where it listens."""
    return broker.url


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
