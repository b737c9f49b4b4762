"""The whole platform over real processes, with the Milan demonstration district and a day of its readings."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from paho.mqtt import publish

from usp import keys
from usp.embedded.process import LOOPBACK, bindable, end, ending_with_us
from usp.ingest.registry import publish_profiles
from usp.models.device import Device, Site
from usp.models.token import PREFIX
from usp.profiles import load_profiles
from usp.registry import MILAN, bring_in_devices, bring_in_sites, read_devices, read_sites
from usp_simulators.district import Simulation, district
from usp_simulators.publish import Publisher

#: How much has been sent when the tests begin: charts of 24 hours are full.
HISTORY_S = 25 * 3600
READY_S = 20.0
#: Lampposts are silent after three minutes, which tests may take.
SPEAK_AGAIN_S = 20.0
#: A fixed town, at whatever time it is looked at.
SEED = 1


@dataclass(frozen=True)
class Platform:
    """Where it is reached."""

    url: str
    broker_url: str
    database_url: str
    #: A token of operators, which `/ops` uses by itself, as in the demonstration.
    ops_token: str

    async def publish(self, topic: str, payload: bytes | str) -> None:
        """Send an MQTT message; returns when the broker has taken it."""
        broker = urlsplit(self.broker_url)
        await asyncio.to_thread(
            publish.single, topic, payload, qos=1, hostname=str(broker.hostname), port=int(broker.port or 0)
        )

    async def send(self, device: str, **values: Any) -> datetime:
        """Let a device of ours say something, measured now unless `time` is given; returns when it was measured."""
        measured: datetime = values.pop("time", datetime.now(UTC))
        item = {"time": measured.isoformat(), **values}
        await self.publish(f"usp/v1/{device}/up", json.dumps(item))
        return measured

    async def until(self, statement: str, *values: Any) -> None:
        """Wait until the database answers anything true."""
        async with asyncio.timeout(READY_S):
            while not await self.query(statement, *values):
                await asyncio.sleep(0.05)

    async def query(self, statement: str, *values: Any) -> Any:
        """One value from the database, as its owner."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def get(self, address: str, *, operator: bool = False) -> Any:
        """What the API answers to anybody, or to an operator, decoded."""
        headers = {"Authorization": f"Bearer {self.ops_token}"} if operator else {}
        async with httpx.AsyncClient(base_url=self.url, headers=headers) as client:
            return (await client.get(address)).raise_for_status().json()

    async def register(self, *devices: Device, sites: Sequence[Site] = ()) -> None:
        """As `usp devices import`."""
        connection = await asyncpg.connect(self.database_url)
        await bring_in_sites(connection, sites)
        await bring_in_devices(connection, devices)
        await connection.close()

    async def token(self, name: str, *scopes: str) -> str:
        """As `usp keys create`."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return await keys.create(connection, name, scopes)
        finally:
            await connection.close()


@asynccontextmanager
async def running(database_url: str, broker_url: str, folder: Path) -> AsyncIterator[Platform]:
    """Start it over a migrated database and an empty broker; `folder` takes the processes' logs."""
    port = bindable(LOOPBACK, 0)
    token = PREFIX + secrets.token_urlsafe(32)
    platform = Platform(f"http://{LOOPBACK}:{port}", broker_url, database_url, token)
    await _register(database_url)
    environment = os.environ | {
        "USP_DATABASE_URL": database_url,
        "USP_BROKER_URL": broker_url,
        "USP_API_PORT": str(port),
        "USP_OPS_TOKEN": token,
    }
    with ExitStack() as stack:
        for command in ("ingest", "api"):
            log = stack.enter_context((folder / f"{command}.log").open("ab"))
            argv = ending_with_us([sys.executable, "-m", "usp", command], signal.SIGTERM)
            process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log)
            stack.callback(end, process, (signal.SIGTERM, 10.0))
        async with asyncio.timeout(READY_S):
            await _ready(platform)
        now = int(time.time())
        sent = await asyncio.to_thread(_send, broker_url, now - HISTORY_S, now)
        await platform.until("SELECT sum(count) >= $1 FROM usp.ingest_total WHERE what = 'stored'", sent)
        speaking = asyncio.create_task(_go_on(broker_url, now), name="lampposts")
        yield platform
        speaking.cancel()


async def _register(database_url: str) -> None:
    """As `usp devices import --demo`."""
    connection = await asyncpg.connect(database_url)
    await publish_profiles(connection, load_profiles())
    await bring_in_sites(connection, read_sites(MILAN / "sites.csv"))
    await bring_in_devices(connection, read_devices(MILAN / "devices.csv"))
    await connection.close()


async def _ready(platform: Platform) -> None:
    async with httpx.AsyncClient(base_url=platform.url) as client:
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def _go_on(broker_url: str, since: int) -> None:
    """Let lampposts speak on. All others are heard of for longer than the tests take, and say what tests let them."""
    lampposts = {device.name for device in district() if device.kind == "lamppost"}
    while True:
        await asyncio.sleep(SPEAK_AGAIN_S)
        now = int(time.time())
        await asyncio.to_thread(_send, broker_url, since, now, lampposts)
        since = now


def _send(broker_url: str, start: int, end: int, only: Collection[str] | None = None) -> int:
    """Send what the district measures at start ≤ t < end (seconds since 1970); returns how many messages that was."""
    publisher = Publisher(broker_url, acknowledged=lambda _: None)
    publisher.connect()
    count = 0
    for count, message in enumerate(Simulation(district(), SEED, only).messages(start, end), start=1):  # noqa: B007
        publisher.send(message)
    publisher.drain(READY_S)
    publisher.close()
    return count
