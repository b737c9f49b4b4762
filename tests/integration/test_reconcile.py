"""Three hours of the whole district: what was sent is what is stored, row by row and value by value."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usp.embedded import Mosquitto
from usp.models.datasets import DATASETS
from usp_simulators.district import Simulation, district
from usp_simulators.manifest import Expected, Manifest, read_manifest
from usp_simulators.publish import Publisher

# Rush hour, so that every kind has something to say.
START = int(datetime(2024, 11, 18, 6, tzinfo=UTC).timestamp())
END = START + 3 * 3600


def send(broker_url: str, manifest: Path) -> int:
    """Send the three hours; returns how many messages that was."""
    with Manifest(manifest) as book:
        publisher = Publisher(broker_url, acknowledged=book.add)
        publisher.connect()
        count = 0
        for count, message in enumerate(Simulation(district(), seed=7).messages(START, END), start=1):  # noqa: B007
            publisher.send(message)
        publisher.drain(30)
        publisher.close()
    return count


async def stored(db: Any) -> Expected:
    """Everything in the hypertables, in the manifest's own form."""
    found: Expected = {}
    for name, dataset in DATASETS.items():
        for record in await db.fetch(
            f"SELECT d.name AS of, t.* FROM usp.{name} t JOIN usp.device d ON d.id = t.device"
        ):
            values = {p.name: record[p.name] for p in dataset.properties if record[p.name] is not None}
            if dataset.interval:
                values["period"] = record["period"]
            found[record["of"], name, record["time"]] = values
    return found


def as_stored(dataset: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values as a `real` holds them; registers are doubles and stay as they are."""
    reals = {p.name for p in DATASETS[dataset].properties if p.type == "real"}
    return {n: struct.unpack("f", struct.pack("f", v))[0] if n in reals else v for n, v in values.items()}


async def test_what_was_sent_is_what_is_stored(database_url: str, broker: Mosquitto, db: Any, tmp_path: Path) -> None:
    """The manifest of the simulators and the content of the database are equal, and every item was stored once."""
    environment = os.environ | {"USP_DATABASE_URL": database_url, "USP_BROKER_URL": broker.url}
    usp = [sys.executable, "-m", "usp"]
    subprocess.run([*usp, "devices", "import", "--demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
    worker = subprocess.Popen([*usp, "ingest"], env=environment, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            while not await db.fetchval("SELECT count(*) FROM usp.worker WHERE connected"):
                await asyncio.sleep(0.05)
        count = await asyncio.to_thread(send, broker.url, tmp_path / "manifest.jsonl")
        totals = "SELECT coalesce(sum(count), 0) FROM usp.ingest_total WHERE what = $1"
        async with asyncio.timeout(30):
            while await db.fetchval(totals, "received") < count:
                await asyncio.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert await db.fetchval(totals, "stored") == await db.fetchval(totals, "received") == count
    expected = read_manifest(tmp_path / "manifest.jsonl")
    found = await stored(db)
    assert found.keys() == expected.keys()
    differing = [k for k, values in expected.items() if found[k] != as_stored(k[1], values)]
    assert not differing, (differing[0], found[differing[0]], expected[differing[0]])
    assert {kind for _, kind, _ in expected} == set(DATASETS)
