"""From the first publish until everything is committed and acknowledged: our worker, and the bare loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from tests.bench.processes import children, idle, line_of, peak_memory, processor_seconds, running

from usp.embedded import Mosquitto, Parts, Postgres
from usp.ingest.registry import publish_profiles
from usp.migrate import migrate
from usp.models.device import Device
from usp.models.profile import DeviceProfile, default_profile
from usp.registry import bring_in_devices
from usp_simulators.load import CONNACK_LENGTH, VALUES, connect_packet, device_eui, device_name

DEVICES = 1_000
TIMEOUT_S = 120.0
#: Eight numbers of 16 bits, in tenths: as short as a codec can be.
CODEC = f"""
var NAMES = {json.dumps(VALUES)};
function decodeUplink(input) {{
  var data = {{}};
  for (var i = 0; i < NAMES.length; i++) {{
    data[NAMES[i]] = (input.bytes[2 * i] * 256 + input.bytes[2 * i + 1]) / 10;
  }}
  return {{ data: data }};
}}
"""


@dataclass(frozen=True)
class Contestant:
    """What is measured: the bare loop, or our worker with readings in one form. With radio, each has a row more."""

    label: str
    form: str = "native"
    bare: bool = False
    radio: bool = False


CONTESTANTS = {
    "ours": Contestant("usp ingest"),
    "bare": Contestant("bare loop", bare=True),
    "radio": Contestant("with radio data", "native-with-radio", radio=True),
    "object": Contestant("ChirpStack, decoded", "chirpstack-object", radio=True),
    "codec": Contestant("ChirpStack, codec", "chirpstack-bytes", radio=True),
}


@dataclass(frozen=True)
class Run:
    """What one run took."""

    seconds: float
    messages_per_second: float
    processor_us_per_message: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Bench:
    """The servers, and what is sent through them."""

    parts: Parts
    postgres: Postgres
    folder: Path
    messages: int
    version: str

    async def run(self, contestant: str, number: int) -> Run:
        """Measure one contestant with a broker and a database that nobody has used before."""
        name = f"{contestant}_{number}"
        async with self._database(name) as connection:
            # What an earlier run left to be written must not be written during this one.
            await connection.execute("CHECKPOINT")
            with Mosquitto(self.parts, self.folder / name) as broker:
                measure = self._bare if CONTESTANTS[contestant].bare else self._ours
                return await measure(self.postgres.url_of(name), broker, connection, CONTESTANTS[contestant])

    @asynccontextmanager
    async def _database(self, name: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        server = await asyncpg.connect(self.postgres.url_of("postgres"))
        await server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        connection = await asyncpg.connect(self.postgres.url_of(name))
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        try:
            yield connection
        finally:
            await connection.close()
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await server.close()

    async def _ours(self, url: str, broker: Mosquitto, connection: Any, contestant: Contestant) -> Run:
        await asyncio.to_thread(migrate, url)
        profiles = self.folder / "profiles"
        await _register(connection, profiles, contestant)
        await connection.execute("CHECKPOINT")
        settings = {
            "USP_DATABASE_URL": url,
            "USP_BROKER_URL": broker.url,
            "USP_BROKER_VERSION": self.version,
            "USP_PROFILES_DIR": str(profiles),
        }
        async with running("usp", "ingest", folder=self.folder, settings=settings) as worker:
            async with asyncio.timeout(TIMEOUT_S):
                while not await connection.fetchval("SELECT bool_or(connected) FROM usp.worker"):
                    await asyncio.sleep(0.05)
                before = processor_seconds(worker.pid)
                publishing = asyncio.create_task(self._publish(broker, contestant.form))
                done = await self._idle_after_all(worker.pid, connection)
            run = self._run(worker.pid, await publishing, done, before)
        assert worker.returncode == 0, f"the worker ended with status {worker.returncode}"
        await self._check_counts(connection, contestant)
        await _check_all_acknowledged(broker)
        return run

    async def _bare(self, url: str, broker: Mosquitto, connection: Any, contestant: Contestant) -> Run:
        arguments = (url, str(broker.port), str(self.messages), self.version)
        async with running("tests.bench.bare_loop", *arguments, folder=self.folder) as loop, asyncio.timeout(TIMEOUT_S):
            await line_of(loop)
            before = processor_seconds(loop.pid)
            publishing = asyncio.create_task(self._publish(broker, contestant.form))
            done = json.loads(await line_of(loop))["done"]
            run = self._run(loop.pid, await publishing, done, before)
        rows = await connection.fetchval("SELECT count(*) FROM bare")
        assert rows == self.messages, f"the bare loop stored {rows} of {self.messages} rows"
        return run

    async def _publish(self, broker: Mosquitto, form: str) -> float:
        """Send everything; returns when the first message was sent."""
        options = ("--port", str(broker.port), "--messages", str(self.messages), "--devices", str(DEVICES))
        async with running("usp_simulators.load", *options, "--form", form, folder=self.folder) as publisher:
            first = json.loads(await line_of(publisher))["first"]
        assert isinstance(first, float)
        return first

    def _run(self, pid: int, first: float, done: float, processor_before: float) -> Run:
        seconds = done - first
        # The process that runs codecs is started with the first frame.
        family = [pid, *children(pid)]
        return Run(
            seconds=seconds,
            messages_per_second=self.messages / seconds,
            processor_us_per_message=(sum(map(processor_seconds, family)) - processor_before) / self.messages * 1e6,
            peak_memory_mb=sum(map(peak_memory, family)) / 1e6,
        )

    async def _idle_after_all(self, pid: int, connection: Any) -> float:
        """When the worker had nothing more to do: acknowledging is the last thing it does with a message."""
        while True:
            idle_since = await idle(pid)
            # Only asked while the worker waits, so that asking costs it nothing.
            if await _counted(connection, "received") >= self.messages:
                return idle_since

    async def _check_counts(self, connection: Any, contestant: Contestant) -> None:
        rows = await connection.fetchval("SELECT count(*) FROM usp.air_quality")
        received, stored = await _counted(connection, "received"), await _counted(connection, "stored")
        newest = await connection.fetchval("SELECT count(*) FROM usp.air_quality_latest")
        assert (rows, received, stored) == (self.messages,) * 3, (
            f"{rows} rows, {received} received and {stored} stored of {self.messages} messages"
        )
        assert newest == min(DEVICES, self.messages), f"{newest} devices have newest values"
        radio = await connection.fetchval("SELECT count(*) FROM usp.device_health WHERE rssi = -97 AND snr = 7.5")
        assert radio == (self.messages if contestant.radio else 0), f"{radio} rows of radio data"


async def _register(connection: Any, profiles: Path, contestant: Contestant) -> None:
    """Bring in the lampposts, with a codec where there are bytes to decode."""
    profile = default_profile("lamppost")
    addressed = contestant.form.startswith("chirpstack")
    if contestant.form == "chirpstack-bytes":
        profile = DeviceProfile(name="bytes", title="Bytes", kind=profile.kind, codec="bytes.js")
    _write_profile(profiles, profile)
    await publish_profiles(connection, {profile.name: profile})
    lamps = [
        Device(
            name=device_name(n),
            kind=profile.kind,
            profile=profile.name,
            address=device_eui(n) if addressed else None,
        )
        for n in range(DEVICES)
    ]
    await bring_in_devices(connection, lamps)


def _write_profile(folder: Path, profile: DeviceProfile) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "bytes.js").write_text(CODEC)
    # JSON is YAML too.
    (folder / f"{profile.name}.yaml").write_text(profile.model_dump_json())


async def _counted(connection: Any, what: str) -> int:
    total = await connection.fetchval("SELECT sum(count)::bigint FROM usp.ingest_total WHERE what = $1", what)
    return total or 0


async def _check_all_acknowledged(broker: Mosquitto) -> None:
    """Take over the worker's session: the broker would at once send again what has not been acknowledged."""
    assert broker.process is not None
    # It reads one packet of each connection at a time, and so our CONNECT before the last of many acknowledgements.
    await idle(broker.process.pid)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(connect_packet("usp-ingest-0", clean_session=False))
    answer = await reader.readexactly(CONNACK_LENGTH)
    assert answer[2:] == b"\x01\x00", "the worker's session is gone"
    try:
        async with asyncio.timeout(0.3):
            again = await reader.read(65536)
    except TimeoutError:
        again = b""
    finally:
        writer.close()
    assert not again, f"the broker sends committed messages again, {len(again)} bytes of them"
