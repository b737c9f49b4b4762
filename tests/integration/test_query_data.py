"""The page "Querying data": every call on it is made, and what it shows is what comes."""

import asyncio
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import polars as pl
import pytest
import uvicorn
from tests.integration.conftest import Connection
from tests.integration.district import District, Reading

from usp.api.app import create_app
from usp.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "query-data.md").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
HERE = "http://127.0.0.1:8000"
FREE = "bay-via-pier-lombardo-1"


class Call(NamedTuple):
    """A call on the page, and what the page shows of its answer, if anything."""

    language: str
    text: str
    shown: str


def calls(language: str) -> list[Call]:
    """All calls in a language, in the order of the page."""
    blocks = FENCE.findall(PAGE)
    return [
        Call(own, text, after if next_language in {"json", "text"} else "")
        for (own, text), (next_language, after) in zip(blocks, [*blocks[1:], ("", "")], strict=True)
        if own == language
    ]


SETTING, *BASH = calls("bash")


@pytest.fixture(scope="module")
async def api(database_url: str, db: Connection) -> AsyncIterator[str]:
    """Where a real server of the district listens; most of its data is of the last two days."""
    city = District(database_url, db)
    await city.register()
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    days, quarter = timedelta(days=1), timedelta(minutes=15)
    await city.put("air_quality", city.air(now - 2 * days, now, quarter))
    await city.put("weather", city.weather(now - 2 * days, now, quarter))
    await city.put("traffic", city.traffic(now - 2 * days, now, quarter))
    await city.put("noise", city.noise(now - 2 * days, now))
    await city.put("charging", city.charging(now - 8 * days, now))
    await city.put("energy", city.energy(now - 400 * days, now, days / 4))
    await city.put("parking", [*city.parking(now - days, now), Reading(FREE, now, {"occupied": False})])
    await city.roll_up(now - days / 2)
    settings = Settings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def run(*command: str, folder: Path) -> str:
    """What a command prints; it must not fail."""
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's examples need curl")
@pytest.mark.parametrize("call", BASH, ids=lambda call: call.text.partition("/v1/")[2].partition('"')[0])
async def test_every_request_is_answered(api: str, tmp_path: Path, call: Call) -> None:
    """What the page asks with curl brings rows; where the page shows the answer, it is of that shape."""
    text = (SETTING.text + call.text).replace(HERE, api)
    output = await run("bash", "-euo", "pipefail", "-c", text, folder=tmp_path)
    if "-w" in call.text:
        assert output == call.shown
        return
    (answer,) = [output.encode()] if output else files(tmp_path).values()
    if call.shown:
        same_shape(json.loads(answer), json.loads(call.shown))
    else:
        assert rows(answer) > 0


def files(folder: Path) -> dict[str, bytes]:
    """What was written, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same_shape(answer: dict[str, Any], shown: dict[str, Any]) -> None:
    """An error to the letter; of rows the names."""
    if "detail" in shown:
        assert answer == shown
        return
    assert answer.keys() == shown.keys()
    assert answer["data"][0].keys() == shown["data"][0].keys()


def rows(answer: bytes) -> int:
    """How many rows an answer has, in whatever format; a bucket in which nothing came is none."""
    if answer.startswith(b"PAR1"):
        found = pl.read_parquet(io.BytesIO(answer)).to_dicts()
    elif not answer.startswith(b"{"):
        found = pl.read_csv(io.BytesIO(answer)).to_dicts()
    elif answer.count(b"\n") > 1:
        found = [json.loads(line) for line in answer.splitlines()]
    else:
        document = json.loads(answer)
        found = document.get("data") or [feature["properties"] for feature in document.get("features", ())]
    return sum(row.get("count") != 0 for row in found)


async def test_every_program_runs(api: str, tmp_path: Path) -> None:
    """What the page does in Python works as it stands, and prints rows."""
    programs = [call.text.replace(HERE, api) for call in calls("python")]
    (tmp_path / "programs.json").write_text(json.dumps(programs))
    # All in one process: three of them would import the same again.
    script = (
        "import contextlib, io, json, matplotlib; matplotlib.use('Agg'); printed = []\n"
        "for program in json.load(open('programs.json')):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as output: exec(program, {})\n"
        "    printed.append(output.getvalue())\n"
        "print(json.dumps(printed))"
    )
    printed = json.loads(await run(sys.executable, "-W", "error", "-c", script, folder=tmp_path))
    assert len(printed) == len(programs) == 4
    assert int(printed[0]) > 100  # more than a page
    assert all(re.search(r"\[\d{2,} rows x|shape: \(\d", text) for text in printed[1:])
    assert (tmp_path / "air.png").stat().st_size > 1_000


async def test_every_picture_can_be_made(api: str, tmp_path: Path) -> None:
    """The pictures of the page are those that the script makes, and small enough for a page."""
    await run(sys.executable, str(DOCS / "plots.py"), api, str(tmp_path), folder=tmp_path)
    made = {name: len(content) for name, content in files(tmp_path).items()}
    assert made.keys() == {*re.findall(r"\(images/([\w.-]+)\)", PAGE)}
    assert all(0 < size < 100_000 for size in made.values())


async def test_what_grafana_asks_is_answered(api: str) -> None:
    """The address for Infinity, with Grafana's time range put in, brings the columns that the page names."""
    (call,) = calls("url")
    (columns,) = re.findall(r"\| selector \| format \|\n.*?\n((?:\|.*\n)+)", PAGE)
    now = datetime.now(UTC)
    text = call.text.strip().replace(HERE, api)
    # As Grafana writes them: milliseconds, and Z.
    for name, time in (("from", now - timedelta(days=1)), ("to", now)):
        text = text.replace(f"${{__{name}:date:iso}}", f"{time:%Y-%m-%dT%H:%M:%S}.123Z")
    text, widths = _custom_interval(text)
    async with httpx.AsyncClient() as client:
        for width in widths:
            answer = await client.get(text.format(width))
            assert answer.status_code == 200, answer.text
            header, *lines = answer.text.splitlines()
            assert {*re.findall(r"^\| `(\w+)`", columns, re.MULTILINE)} <= {*header.split(",")}
            assert lines


def _custom_interval(text: str) -> tuple[str, Iterator[str]]:
    """The address with a place for the width, and the widths that may come there."""
    ((given),) = re.findall(r"\$__customInterval\((.*?)\)", text)
    words = given.split(",")
    assert len(words) % 2 == 1
    return text.replace(f"$__customInterval({given})", "{}"), iter([*words[1::2], words[-1]])


async def test_what_grafana_asks_the_database(api: str, db: Connection) -> None:
    """The account on the page reads open readings, and no table behind them."""
    assert api
    account, query = (call.text for call in calls("sql"))
    for statement in account.split(";\n")[:2]:
        await db.execute(statement)
    try:
        await db.execute("SET SESSION AUTHORIZATION grafana")
        found = await db.fetch(query.replace("$__timeFilter(time)", "time > now() - interval '6 hours'"))
        assert [*found[0].keys()] == ["time", "metric", "pm2_5"]
        assert {row["metric"] for row in found} == {"lamp-corso-lodi-1", "lamp-corso-lodi-2"}
        assert [row["time"] for row in found] == sorted(row["time"] for row in found)
        for closed in ("usp.air_quality", "restricted.air_quality", "ops.rejection"):
            with pytest.raises(Exception, match="permission denied"):
                await db.execute(f"SELECT FROM {closed} LIMIT 1")
    finally:
        await db.execute("RESET SESSION AUTHORIZATION")
        await db.execute("DROP ROLE grafana")
