"""A street whose messages go straight through pipeline and writer, and may be refused and replayed."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from usp.db import WRITER_ROLE, connect
from usp.ingest.batch import Replay
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import CodecRuntime
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.replay import Progress, Replayer
from usp.ingest.writer import Writer
from usp.models.device import Device
from usp.models.profile import DeviceProfile, FieldMap, default_profile
from usp.models.rejection import RejectionFilter
from usp.registry import bring_in_devices

if TYPE_CHECKING:
    import asyncpg

START = datetime(2026, 1, 1, tzinfo=UTC)
#: Programs that are started know this one as well.
SHIPPED = default_profile("lamppost")
LAMP = DeviceProfile(name="lamp", title="Lamp", kind="lamppost", interval=60)
#: Its devices send numbers as text, which only the mended one reads.
BROKEN = DeviceProfile(name="odd", title="Odd", kind="lamppost", interval=60, fields={"raw": FieldMap(property="no2")})
MENDED = DeviceProfile(
    name="odd", title="Odd", kind="lamppost", interval=60, fields={"raw": FieldMap(property="no2", parse=True)}
)
#: Everything that a replay may write to; what the database counts of itself is not among it.
TABLES = (
    *("rejection", "rejection_tally", "ingest_total", "ingest_minute", "unmapped_field", "profile", "batch"),
    *("air_quality", "air_quality_latest", "noise", "noise_latest", "device_health"),
)


@dataclass
class Sent:
    """A message as the pipeline takes it."""

    topic: str
    payload: bytes
    received_at: datetime
    replay: Replay | None = None


@dataclass
class Street:
    """Sends, registers, replays, and looks."""

    url: str
    db: "asyncpg.Connection[asyncpg.Record]"
    connection: Any
    writer: Writer
    profiles: dict[str, DeviceProfile] = field(default_factory=lambda: {p.name: p for p in (LAMP, BROKEN, SHIPPED)})

    async def register(self, *names: str, profile: str = "lamp") -> None:
        """Make devices known."""
        await publish_profiles(self.db, self.profiles)
        await bring_in_devices(self.db, [Device(name=name, kind="lamppost", profile=profile) for name in names])

    async def send(self, device: str, *items: Any, at: float = 0) -> None:
        """Let a device send messages, one for each item, a second apart, `at` seconds after the start."""
        await self.take(
            Sent(
                f"usp/v1/{device}/up",
                item if isinstance(item, bytes) else orjson.dumps(item),
                START + timedelta(seconds=at + number),
            )
            for number, item in enumerate(items)
        )

    async def take(self, messages: Iterable[Sent]) -> None:
        """Let messages through."""
        registry = Registry(self.profiles, {})
        await registry.refresh(self.db)
        codecs = CodecRuntime()
        pipeline = Pipeline(BRIDGES, registry, codecs)
        waiting = list(messages)
        while waiting:
            batch, count = await pipeline.next_batch(waiting)
            await self.writer.commit(self.connection, batch)
            waiting = waiting[count:]
        await codecs.close()

    async def replay(self, *, dry_run: bool = False, **chosen: Any) -> Progress:
        """Replay what matches, to the end."""
        replayer = Replayer(self.url, self.profiles, {})
        steps = [step async for step in replayer.replay(RejectionFilter(**chosen), dry_run=dry_run)]
        return steps[-1]

    async def rejections(self, address: str) -> list[dict[str, Any]]:
        """All of a sender, in the order in which they came to be."""
        found = await self.db.fetch("SELECT * FROM usp.rejection WHERE address = $1 ORDER BY id", address)
        return [dict(record) for record in found]

    async def counted(self, door: str) -> dict[str, int]:
        """What was counted at a door."""
        sql = "SELECT what, sum(count)::bigint FROM usp.ingest_total WHERE door = $1 GROUP BY 1"
        return {record[0]: record[1] for record in await self.db.fetch(sql, door)}

    async def readings(self, device: str, column: str = "no2") -> list[tuple[float, Any]]:
        """(second after the start, value) of a device's air quality."""
        sql = (
            f"SELECT extract(epoch FROM r.time - $2)::float8 AS second, r.{column} FROM usp.air_quality r "
            "JOIN usp.device d ON d.id = r.device WHERE d.name = $1 ORDER BY r.time"
        )
        return [(record[0], record[1]) for record in await self.db.fetch(sql, device, START)]

    async def digest(self) -> str:
        """Everything that stands in the tables."""
        sums = hashlib.sha256()
        for table in TABLES:
            rows = await self.db.fetch(f"SELECT t::text FROM usp.{table} t ORDER BY 1")
            sums.update(repr((table, [row[0] for row in rows])).encode())
        return sums.hexdigest()


@asynccontextmanager
async def on_street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """A street over a migrated database."""
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    writer = Writer(0)
    await writer.prepare(connection)
    made = Street(database_url, db, connection, writer)
    await publish_profiles(db, made.profiles)
    yield made
    await connection.close()
