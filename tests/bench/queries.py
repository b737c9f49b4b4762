"""The open data API against hand-written SQL for the same answers, over a year of a town; and readers beside ingest.

Both are asked in turns, over connections that stay open, by one process whose own share is small: it reads HTTP from
the socket and looks at nothing. The hand-written statements are prepared, sent as superuser, and know the tables.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table
from tests.bench.queries_asked import Question, questions
from tests.bench.queries_compare import Measured, QueryBench, served
from tests.bench.queries_data import Town, build, town_of
from tests.bench.queries_http import Client
from tests.bench.queries_ingest import RATE, READERS, Intake, Taken, with_and_without, write_profile

from usp.embedded import Mosquitto, Parts, Postgres
from usp.migrate import migrate

#: In the order in which they are asked; the readers come last, since messages change the answers.
NAMES = ("latest", "day", "year", "month", "month-site", "month-all", "csv", "parquet", "readers")
#: What the readers ask for.
_MIX = ("latest", "day", "year")
#: Beside readers as many messages are taken in as without them, less a third.
_SLOWED = 2 / 3
_INTAKE_RUNS = 2


@dataclass
class Findings:
    """What was measured, by question; and what the readers cost."""

    rows: int
    measured: dict[str, tuple[Question, Measured]] = field(default_factory=dict)
    taken: dict[str, list[Taken]] = field(default_factory=dict)
    peak_memory_mb: float = 0.0

    def document(self) -> dict[str, Any]:
        """All runs, as JSON."""
        runs = {name: asdict(measured) for name, (_, measured) in self.measured.items()}
        return {"rows": self.rows, **runs, "readers": {k: [asdict(t) for t in each] for k, each in self.taken.items()}}


async def measure(rows: int, names: Iterable[str], parts: Parts, folder: Path, out: Console) -> Findings:
    """Make a town with so many readings, ask the questions of these names, and show each as it comes."""
    began, town = time.monotonic(), town_of(rows)

    def say(what: str) -> None:
        out.print(f"{time.monotonic() - began:6.0f} s  {what}", style="dim")

    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(Postgres(parts, folder / "postgres"))
        await asyncio.to_thread(migrate, postgres.url)
        settings = {"timezone": "UTC", "jit": "off"}
        connection = await asyncpg.connect(postgres.url, server_settings=settings)
        stack.push_async_callback(connection.close)
        await build(connection, town, say)
        bench = await stack.enter_async_context(served(postgres.url, connection, folder))
        found, asked = Findings(town.rows), questions(town)
        async with Client(bench.api) as client:
            for name in (name for name in asked if name in names):
                say(asked[name].label)
                found.measured[name] = (asked[name], await bench.measure(asked[name], client))
        found.peak_memory_mb = bench.peak_memory_mb
        if "readers" in names:
            say(f"{READERS} readers beside {RATE:,} messages a second")
            broker = stack.enter_context(Mosquitto(parts, folder / "broker"))
            found.taken = await _taken(bench, broker, town, [asked[name].path for name in _MIX])
        say("done")
    return found


async def _taken(bench: QueryBench, broker: Mosquitto, town: Town, paths: list[str]) -> dict[str, list[Taken]]:
    await bench.connection.execute("RESET ALL")
    intake = Intake(bench, broker, write_profile(bench.folder / "profiles", town.profile))
    return await with_and_without(bench, intake, paths, _INTAKE_RUNS)


def show(found: Findings, out: Console) -> None:
    """Print medians, ratios and aims."""
    if found.measured:
        _show_measured(found, out)
    if found.taken:
        _show_taken(found.taken, out)


def _show_measured(found: Findings, out: Console) -> None:
    table = Table("", "usp api", "by hand", "ratio", "aim", "met", "noise", title_justify="left")
    table.title = f"{found.rows:,} readings, milliseconds, medians; noise: how far quartiles by hand lie apart"
    for question, measured in found.measured.values():
        ours, by_hand = median(measured.ours), median(measured.by_hand)
        met = question.aim.met(ours, by_hand, question.rows)
        table.add_row(
            question.label,
            f"{ours * 1e3:,.1f}",
            f"{by_hand * 1e3:,.1f}",
            f"{ours / by_hand:.2f}",
            question.aim.text,
            "yes" if met else "no",
            f"{measured.noise:.0%}",
        )
    out.print(table)
    for question, measured in found.measured.values():
        if question.copied:
            rate, first = question.rows / median(measured.ours), median(measured.first)
            out.print(f"{question.label}: {rate:,.0f} rows/s, the first byte after {first:.2f} s")
    out.print(f"Peak memory of the API: {found.peak_memory_mb:.0f} MB")


def _show_taken(taken: dict[str, list[Taken]], out: Console) -> None:
    alone, read = (median(t.messages_per_second for t in taken[name]) for name in ("alone", "read"))
    table = Table(
        "", "messages/s", "commits behind", "95 % of the time", "answers/s", "refused/s", title_justify="left"
    )
    table.title = f"{RATE:,} messages a second, median of {len(taken['alone'])}"
    for name, label in (("alone", "nobody asks"), ("read", f"{READERS} readers")):
        each = taken[name]
        table.add_row(
            label,
            f"{median(t.messages_per_second for t in each):,.0f}",
            f"{median(t.lag for t in each) * 1e3:,.0f} ms",
            f"{median(t.lag_p95 for t in each) * 1e3:,.0f} ms",
            f"{median(t.answers_per_second for t in each):,.0f}",
            f"{median(t.refusals_per_second for t in each):,.1f}",
        )
    out.print(table)
    met = "met" if read / alone >= _SLOWED else "not met"
    out.print(f"Ratio: {read / alone:.2f} with readers; the aim is {_SLOWED:.2f} or more: {met}.", style="bold")
