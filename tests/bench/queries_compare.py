"""One question, asked of the API and by hand in turns, once both have given the same answer."""

import asyncio
import io
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from tests.bench.processes import peak_memory, running
from tests.bench.queries_asked import Question
from tests.bench.queries_http import Client

from usp.embedded.process import free_port

#: How long the API may take to start.
_START_S = 30.0


@dataclass
class Measured:
    """Seconds of ours and of the hand-written, a pair for each run; and until the first byte of ours."""

    ours: list[float] = field(default_factory=list)
    by_hand: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    @property
    def noise(self) -> float:
        """How far the hand-written's quartiles lie apart, as a share of its median."""
        ordered = sorted(self.by_hand)
        quarter = len(ordered) // 4
        return (ordered[-1 - quarter] - ordered[quarter]) / median(ordered)


@dataclass
class QueryBench:
    """A town in a database, and the API over it, as a process of its own."""

    url: str
    connection: Any
    api: str
    pid: int
    folder: Path

    async def measure(self, question: Question, client: Client) -> Measured:
        """Ask both in turns, once they agree."""
        await self.connection.execute(f"RESET ALL; {question.settings}")
        ask = await self._by_hand(question)
        await self._agree(question, client, ask)
        measured = Measured()
        for _ in range(question.runs):
            answer = await client.get(question.path)
            measured.ours.append(answer.seconds)
            measured.first.append(answer.first)
            began = time.perf_counter()
            await ask(None)
            measured.by_hand.append(time.perf_counter() - began)
        return measured

    @property
    def peak_memory_mb(self) -> float:
        """The most that the API's process has used."""
        return peak_memory(self.pid) / 1e6

    async def _by_hand(self, question: Question) -> Callable[[Any], Any]:
        """Ask by hand: rows come back, or go into a sink."""
        if not question.copied:
            statement = await self.connection.prepare(question.sql)
            return lambda _: statement.fetch(*question.values)

        async def nowhere(_: bytes) -> None:
            pass

        return lambda sink: self.connection.copy_from_query(
            question.sql, *question.values, output=sink or nowhere, format="csv", header=True
        )

    @staticmethod
    async def _agree(question: Question, client: Client, ask: Callable[[Any], Any]) -> None:
        """Ask both once, which warms them as well; different answers are an AssertionError."""
        answer = await client.get(question.path, keep=True)
        if not question.copied:
            records = await ask(None)
            rows = orjson.loads(answer.body)["data"]
            assert len(rows) == len(records) == question.rows, f"{len(rows)} and {len(records)} rows"
            for row, record in zip(rows, records, strict=True):
                _same(row, record)
            return
        copied = io.BytesIO() if question.textual else None
        status = await ask(copied)
        assert status == f"COPY {question.rows}", f"{status} instead of {question.rows} rows"
        if copied is not None:
            ours, theirs = answer.body.splitlines(), copied.getvalue().splitlines()
            pairs = zip(ours, theirs, strict=True)
            different = next((pair for pair in pairs if pair[0] != pair[1] and not _near(*pair)), None)
            assert different is None, f"Different rows: {different}"
        else:
            found = pq.ParquetFile(io.BytesIO(answer.body)).metadata.num_rows
            assert found == question.rows, f"{found} rows in Parquet instead of {question.rows}"


def _same(row: dict[str, Any], record: Any) -> None:
    for name, value in record.items():
        found = row.get(name)
        if isinstance(value, datetime):
            found = found and datetime.fromisoformat(found)
        elif name == "flags":
            found = ";".join(found or ()) or None
        elif isinstance(value, float):
            # A real arrives in binary here, and there as its shortest decimal.
            assert found is not None, f"{name}: {row}, {record}"
            assert math.isclose(found, value, rel_tol=1e-6), f"{name}: {row}, {record}"
            continue
        assert found == value, f"{name}: {row}, {record}"
    assert row.keys() <= set(record.keys()), f"{row}, {record}"


@asynccontextmanager
async def served(url: str, connection: Any, folder: Path) -> AsyncIterator[QueryBench]:
    """`usp api` over a database, once it answers."""
    port = free_port(folder / "api-port")
    arguments = ("api", "--port", str(port), "--database-url", url)
    async with running("usp", *arguments, folder=folder) as process:
        address = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(_START_S):
            while not await _answers(address):
                if process.returncode is not None:
                    raise RuntimeError(f"The API ended with status {process.returncode}.")
                await asyncio.sleep(0.05)
        yield QueryBench(url, connection, address, process.pid, folder)


async def _answers(address: str) -> bool:
    try:
        async with Client(address) as client:
            await client.get("/health/live")
    except OSError:
        return False
    return True


def _near(ours: bytes, theirs: bytes) -> bool:
    """Whether two lines differ by rounding only: a share that lies between two of its four digits."""
    cells = zip(ours.split(b","), theirs.split(b","), strict=True)
    try:
        return all(a == b or abs(float(a) - float(b)) < 1.5e-4 for a, b in cells)
    except ValueError:
        return False
