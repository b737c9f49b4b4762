"""Three hours of the whole district: what was sent is what is stored, row by row and value by value."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usp.embedded import Mosquitto
from usp.models.datasets import DATASETS
from usp_simulators.district import Simulation, district
from usp_simulators.manifest import Manifest, read_manifest
from usp_simulators.publish import Publisher
from usp_simulators.reconcile import reconcile

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


async def test_what_was_sent_is_what_is_stored(database_url: str, broker: Mosquitto, db: Any, tmp_path: Path) -> None:
    """The manifest of the simulators and the content of the database are equal, and every item was stored once."""
    environment = os.environ | {"USP_DATABASE_URL": database_url, "USP_BROKER_URL": broker.url}
    usp = [sys.executable, "-m", "usp"]
    subprocess.run([*usp, "devices", "import", "--demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
    worker = subprocess.Popen([*usp, "ingest"], env=environment, stderr=subprocess.DEVNULL)
    manifest = tmp_path / "manifest.jsonl"
    try:
        async with asyncio.timeout(20):
            while not await db.fetchval("SELECT count(*) FROM usp.worker WHERE connected"):
                await asyncio.sleep(0.05)
        count = await asyncio.to_thread(send, broker.url, manifest)
        received = "SELECT coalesce(sum(count), 0) FROM usp.ingest_total WHERE what = 'received'"
        async with asyncio.timeout(30):
            while await db.fetchval(received) < count:
                await asyncio.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    accounts = await reconcile(db, manifest, exact=True)
    assert not accounts.differences, "\n".join(accounts.differences)
    assert accounts.stored == accounts.received == accounts.items == count
    assert {row["dataset"] for line in read_manifest(manifest) for row in line["rows"]} == set(DATASETS)
