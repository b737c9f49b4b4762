"""A thousand sensors behind each network server, with everything that radio does to them, against what is stored."""

import asyncio
import heapq
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.integration.test_reconcile_faults import balance, tell
from tests.integration.town import Town, make_town

from usp.embedded import Parts
from usp.ingest.registry import publish_profiles
from usp.profiles import load_profiles
from usp.registry import bring_in_devices
from usp_simulators.chirpstack import ChirpStack
from usp_simulators.fleet import Fleet, parse_radio_faults
from usp_simulators.lorawan import Sent
from usp_simulators.manifest import Manifest
from usp_simulators.publish import Publisher
from usp_simulators.things_stack import ThingsStack

#: Devices behind each server; with so few of them every unknown field is counted exactly.
MANY, FEW = 1_000, 100
#: For how long they speak.
SPAN_S = 2 * 3600
#: Messages that are stored when the worker is killed, at least.
KILL_AT = 8_000
#: Sending is never so far ahead of storing that the worker would have nothing to do but catch up.
AHEAD = 12_000

RECEIVED = "SELECT coalesce(sum(count), 0)::bigint FROM usp.ingest_total WHERE what IN ('received', 'event')"
REASONS = {
    *("simulated", "end_to_end_encrypted", "codec_failed", "bad_frame", "address_mismatch", "not_json"),
    "unknown_device",
}


def fleets(devices: int) -> list[Fleet]:
    """One behind each server."""
    faults = parse_radio_faults("all")
    return [Fleet(server, devices, faults=faults) for server in (ChirpStack(), ThingsStack())]


def stream(both: list[Fleet], end: int) -> Iterator[Sent]:
    """What both publish, in order of time."""
    return heapq.merge(*(fleet.messages(end - SPAN_S, end) for fleet in both), key=lambda sent: sent.at)


async def settle(town: Town, both: list[Fleet]) -> None:
    """Register the devices, by their devEUI or, where they have none, by their name in The Things Stack."""
    connection = await asyncpg.connect(town.postgres.url)
    await publish_profiles(connection, load_profiles())
    await bring_in_devices(connection, [device for fleet in both for device in fleet.devices()])
    await connection.close()


class Sender:
    """Publishes in a thread of its own, and writes down what ought to become of it."""

    def __init__(self, broker: str, messages: Iterator[Sent], manifest: Path) -> None:
        self._broker = broker
        self._messages = messages
        self._manifest = manifest
        self.sent = 0
        self.stored = 0
        self.halted = False

    def run(self) -> None:
        """Returns when the broker has everything."""
        with Manifest(self._manifest) as book:
            publisher = Publisher(self._broker, acknowledged=book.add, halted=lambda: self.halted)
            publisher.connect()
            for message in self._messages:
                if not publisher.send(message):
                    break
                self.sent += 1
                while self.sent > self.stored + AHEAD and not self.halted:
                    publisher.serve(0.02)
            publisher.drain(30)
            publisher.close()


async def drive(town: Town, sender: Sender, *, kill_at: int | None) -> float:
    """Let everything be stored; after so many messages the worker is killed. Returns how long its heir took."""
    recovery = 0.0
    sending: asyncio.Task[None]

    async def stored(enough: int | None) -> None:
        while not (sending.done() and sender.stored >= sender.sent) and (enough is None or sender.stored < enough):
            if sending.done():
                sending.result()
            await asyncio.sleep(0.1)
            sender.stored = await town.query(RECEIVED)

    async with asyncio.timeout(60):
        with town.worker() as worker:
            await town.ready()
            sending = asyncio.create_task(asyncio.to_thread(sender.run))
            await stored(kill_at)
            if kill_at is not None:
                assert sender.sent > sender.stored, "nothing was under way"
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        if kill_at is not None:
            await town.reaches("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-ingest'", 0)
            began, before = time.monotonic(), await town.query(RECEIVED)
            with town.worker():
                await stored(before + 1)
                recovery = time.monotonic() - began
                await stored(None)
                # What is published again after the kill is counted twice; that all of it has come, silence tells.
                await quiet(town)
    await sending
    return recovery


async def quiet(town: Town) -> None:
    """Wait until nothing more is counted."""
    before = -1
    while before != (before := await town.query(RECEIVED)):
        await asyncio.sleep(1)


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("devices", "kill_at"), [(FEW, None), (MANY, KILL_AT)], ids=["few", "many, killed"])
async def test_fleets_behind_both_servers_reconcile_by_content(
    parts: Parts, tmp_path: Path, devices: int, kill_at: int | None
) -> None:
    """Joins, gaps, duplicates, several gateways, two paths, a kill: rows, radio data, events and refusals are right."""
    both = fleets(devices)
    manifest = tmp_path / "manifest.jsonl"
    async with make_town(parts, tmp_path, tmp_path) as town:
        await settle(town, both)
        sender = Sender(town.broker.url, stream(both, int(time.time())), manifest)
        try:
            recovery = await drive(town, sender, kill_at=kill_at)
        finally:
            sender.halted = True
        accounts = await balance(town, manifest, exact=kill_at is None)
        assert accounts.reasons.keys() == REASONS
        assert accounts.duplicate > 0
        assert accounts.items > 20 * devices
        lost = await town.query("SELECT sum(frames_lost) FROM usp.device_health")
        assert lost > devices / 4
        tell("fleets behind network servers", accounts, {"worker": [recovery]}, frames_lost=int(lost))
