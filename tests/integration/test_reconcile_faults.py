"""A day of the whole district with everything going wrong at once: devices, clocks, radio, and the platform itself."""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.integration.conftest import serving
from tests.integration.town import REPORT, Town, make_town

from usp.embedded import Mosquitto, Parts
from usp.models.device import Device
from usp.registry import bring_in_devices
from usp_simulators.district import Simulation, district
from usp_simulators.faults import Sent, parse_faults
from usp_simulators.manifest import Manifest
from usp_simulators.message import Message
from usp_simulators.publish import Publisher
from usp_simulators.reconcile import Accounts, reconcile

#: What the district sends in a second, on average.
ITEMS_A_SECOND = 0.8
#: A device of the test's own says after every so many items how many there were. What it has said stands in the
#: database when everything before it does: the broker keeps the order.
MARKER = "bay-marker"
MARK_EVERY = 2_000
#: How far sending may be ahead of storing: more than fits into the worker's window, and little for the broker to keep.
AHEAD = 15
MARKS_START = datetime(2020, 1, 1, tzinfo=UTC)

TOKEN = "SELECT token FROM usp.batch ORDER BY slot LIMIT 1"
MARK = f"""
    SELECT coalesce(extract(epoch FROM max(time) - '{MARKS_START}')::int, 0) FROM usp.parking
    WHERE device = (SELECT id FROM usp.device WHERE name = '{MARKER}') AND time < '2021-01-01'
"""


class Sender:
    """Sends a stream in a thread of its own, never far ahead of what is stored, and writes the manifest."""

    def __init__(self, broker: Mosquitto, stream: Iterator[Sent], manifest: Path) -> None:
        self._broker = broker
        self._stream = stream
        self._manifest = manifest
        #: How many items were sent before each mark, and how many of the marks stand in the database.
        self.marks = [0]
        self.seen = 0

    @property
    def stored(self) -> int:
        """How many items have been dealt with, at least."""
        return self.marks[self.seen]

    def run(self) -> None:
        """Send everything; returns when the broker has acknowledged it."""
        with Manifest(self._manifest) as book:
            publisher = Publisher(self._broker.url, acknowledged=book.add)
            publisher.connect()
            items = 0
            for sent in self._stream:
                publisher.send(sent)
                items += len(sent.fates)
                if items >= self.marks[-1] + MARK_EVERY:
                    self._mark(publisher, items)
                while len(self.marks) - 1 > self.seen + AHEAD:
                    publisher.serve(0.02)
            self._mark(publisher, items)
            publisher.drain(60)
            publisher.close()

    def _mark(self, publisher: Publisher, items: int) -> None:
        number = len(self.marks)
        at = int(MARKS_START.timestamp()) + number
        self.marks.append(items)
        payload = {"time": datetime.fromtimestamp(at, UTC).isoformat(), "occupied": bool(number % 2)}
        publisher.send(Message(at, MARKER, "parking_sensor", payload))


class Drive:
    """A town under a stream of readings: watched, and hurt."""

    def __init__(self, town: Town, sender: Sender) -> None:
        self._town = town
        self._sender = sender
        self._connection: Any = None
        #: What the worker's memory was, and after how many items.
        self.memory: list[tuple[int, int]] = []
        #: How many items at least were sent and not yet stored when something was broken.
        self.under_way: list[int] = []

    async def run(self, faults: Sequence[tuple[int, str]] = (), *, pent_up: bool = False) -> dict[str, list[float]]:
        """Let all of it be stored, and break something after so many items; returns how long it took to recover.

        pent_up: the worker stands still at first, until sending is as far ahead as it may be.
        """
        recovery: dict[str, list[float]] = {}
        with ExitStack() as lives:
            worker = lives.enter_context(self._town.worker())
            await self._town.ready()
            sending = asyncio.create_task(asyncio.to_thread(self._sender.run))
            if pent_up:
                worker.send_signal(signal.SIGSTOP)
                while len(self._sender.marks) <= AHEAD:
                    await asyncio.sleep(0.05)
                worker.send_signal(signal.SIGCONT)
            for at, victim in faults:
                await self._until(sending, worker.pid, lambda at=at: self._sender.stored >= at)
                self.under_way.append(self._sender.marks[-1] - self._sender.stored)
                began = time.monotonic()
                if victim == "worker":
                    worker.kill()
                    worker.wait()
                    # The first value of a key stands: what waits must not be overtaken by a worker with another slot.
                    await self._town.reaches(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-ingest'", 0
                    )
                    worker = lives.enter_context(self._town.worker())
                else:
                    self._hurt(victim)
                before = None
                while before is None:
                    before = await self._ask(TOKEN)
                while await self._ask(TOKEN) in {before, None}:
                    await asyncio.sleep(0.01)
                recovery.setdefault(victim, []).append(time.monotonic() - began)
            await self._until(
                sending,
                worker.pid,
                lambda: sending.done() and self._sender.seen == len(self._sender.marks) - 1,
            )
            await sending
            assert worker.poll() is None
        await self._connection.close()
        return recovery

    def _hurt(self, victim: str) -> None:
        """Kill the database; end the broker cleanly, since a killed one loses what it has not saved."""
        server = {"database": self._town.postgres, "broker": self._town.broker}[victim]
        assert server.process is not None
        if victim == "database":
            server.process.kill()
            server.process.wait()
        server.stop()
        server.start()

    async def _until(self, sending: "asyncio.Task[None]", pid: int, reached: Any) -> None:
        while not reached():
            if sending.done() and sending.exception() is not None:
                sending.result()
            seen = await self._ask(MARK)
            self._sender.seen = max(self._sender.seen, seen or 0)
            self.memory.append((self._sender.stored, resident(pid)))
            await asyncio.sleep(0.1)

    async def _ask(self, query: str) -> Any:
        """One value; None while there is no database to ask."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._town.postgres.url)
            return await self._connection.fetchval(query)
        return None


def resident(pid: int) -> int:
    """A process's memory in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def stream(items: float, faults: str, seed: int = 3) -> Iterator[Sent]:
    """So many items or a few more, up to now."""
    end = int(time.time())
    messages = Simulation(district(), seed=seed).messages(end - int(items / ITEMS_A_SECOND), end)
    return parse_faults(faults, seed).stage(messages)


async def settle(town: Town) -> None:
    """Bring in the district, and the device that counts."""
    environment = os.environ | {"USP_DATABASE_URL": town.postgres.url}
    command = [sys.executable, "-m", "usp", "devices", "import", "--demo"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    connection = await asyncpg.connect(town.postgres.url)
    await bring_in_devices(connection, [Device(name=MARKER, kind="parking_sensor", profile="milan-parking")])
    await connection.close()


async def balance(town: Town, manifest: Path, *, exact: bool) -> Accounts:
    """Nothing is missing, nothing is too much, nothing is other than it was sent."""
    connection = await asyncpg.connect(town.postgres.url)
    try:
        accounts = await reconcile(connection, manifest, exact=exact)
    finally:
        await connection.close()
    assert not accounts.differences, "\n".join(accounts.differences)
    assert accounts.lost == 0
    return accounts


def tell(scenario: str, accounts: Accounts, recovery: dict[str, list[float]], **more: Any) -> None:
    """One line of the table of survival."""
    line: dict[str, Any] = {"scenario": scenario, "sent": accounts.items, "rows": accounts.rows}
    line |= {what: getattr(accounts, what) for what in ("received", "stored", "duplicate", "rejected", "lost")}
    for victim, seconds in recovery.items():
        line[f"recovery_{victim}_s"] = [round(statistics.median(seconds), 1), round(max(seconds), 1)]
    line |= more
    print(" · ".join(f"{name} {value}" for name, value in line.items()))  # noqa: T201 - shown with -rP
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")


#: Why items, or values of them, are refused in a stream with all faults.
REASONS = {
    *("not_json", "not_an_object", "wrong_topic", "unknown_device", "bad_time", "time_without_offset"),
    *("time_in_future", "too_old", "no_known_field", "wrong_type", "conflicting_value"),
}


@pytest.mark.timeout(240)
async def test_a_day_with_every_fault_reconciles_through_kills(parts: Parts, tmp_path: Path) -> None:
    """Devices err in every way while worker and database are killed: every item is accounted for, by content."""
    manifest = tmp_path / "manifest.jsonl"
    async with make_town(parts, tmp_path, tmp_path) as town:
        await settle(town)
        drive = Drive(town, Sender(town.broker, stream(60_000, "all,silent=0.15,drift=0.05"), manifest))
        recovery = await drive.run([(10_000, "worker"), (22_000, "database"), (36_000, "worker")])
        accounts = await balance(town, manifest, exact=False)
        assert any(drive.under_way)
        assert accounts.reasons.keys() >= REASONS
        assert accounts.duplicate > 0
        assert accounts.perhaps_late < accounts.items / 20
        assert accounts.items > 50_000
        tell("all faults, killed", accounts, recovery)
        await silence_is_told(town)


async def silence_is_told(town: Town) -> None:
    """Health counts those charging points as silent that have said nothing for longer than their profile allows."""
    silent = """
        SELECT count(*) FROM usp.device d WHERE kind = 'charging_point' AND visibility = 'open'
            AND NOT EXISTS (SELECT FROM usp.charging c WHERE c.device = d.id AND c.time > now() - interval '1 hour')
            AND EXISTS (SELECT FROM usp.charging c WHERE c.device = d.id)
    """
    async with serving(town.postgres.url) as client:
        expected = await town.query(silent)
        body = (await client.get("/health/ingest")).json()
    assert body["kinds"]["charging_point"]["silent"] == expected


async def test_without_kills_every_count_is_exact(parts: Parts, tmp_path: Path) -> None:
    """Some hours with every fault, delivered once: rows, duplicates, refusals and their bytes are as foreseen."""
    manifest = tmp_path / "manifest.jsonl"
    async with make_town(parts, tmp_path, tmp_path) as town:
        await settle(town)
        usual = "duplicate=0.1,late=0.1,reorder=0.1,corrupt=0.15,out_of_range=0.05,drift=0.1,silent=0.05,unmapped=0.05"
        sender = Sender(town.broker, stream(12_000, usual, seed=5), manifest)
        await Drive(town, sender).run()
        accounts = await balance(town, manifest, exact=True)
        assert accounts.received == accounts.items
        tell("all faults, often", accounts, {})
        await tampering_is_noticed(town, manifest)


async def tampering_is_noticed(town: Town, manifest: Path) -> None:
    """The comparison would see whatever may go wrong."""
    row = "(device, time) = (SELECT device, time FROM usp.{0} ORDER BY time DESC LIMIT 1)"
    tampering = {
        f"UPDATE usp.noise SET laeq = laeq + 0.0001 WHERE {row.format('noise')}": "noise: other values",
        f"UPDATE usp.noise SET period = 61 WHERE {row.format('noise')}": "noise: other values",
        f"UPDATE usp.traffic SET flagged = flagged # 1 WHERE {row.format('traffic')}": "traffic: other flags",
        f"DELETE FROM usp.parking WHERE {row.format('parking')}": "parking: missing",
        "INSERT INTO usp.parking SELECT '2026-01-01', min(device), true, 0, 0, now() FROM usp.parking": "not sent",
        "UPDATE usp.energy_latest SET energy_import_time = now()": "energy: newest values",
        "UPDATE usp.ingest_total SET count = count + 1 WHERE what = 'duplicate'": "duplicate",
        "DELETE FROM usp.rejection WHERE id IN (SELECT max(id) FROM usp.rejection)": "rejections missing",
        "UPDATE usp.rejection SET payload = '!' WHERE id IN (SELECT max(id) FROM usp.rejection)": "not sent so",
        "UPDATE usp.unmapped_field SET count = count - 1": "unmapped fields",
    }
    # Its temporary tables come and go, which prepared statements do not survive.
    connection = await asyncpg.connect(town.postgres.url, statement_cache_size=0)
    try:
        for statement, told in tampering.items():
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(statement)
            accounts = await reconcile(connection, manifest, exact=True)
            assert any(told in difference for difference in accounts.differences), (statement, accounts.differences)
            await transaction.rollback()
    finally:
        await connection.close()
