"""A small city for the API's tests: open and hidden devices, a lamppost that was moved, a station with points.

And the command `usp` over the module's database.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from typer.testing import CliRunner

from usp.api.app import create_app
from usp.api.replays import Operations
from usp.cli import app
from usp.models.datasets import DATASETS
from usp.settings import Settings

if TYPE_CHECKING:
    import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

#: Ten minutes apart, the last hour left free.
STEP = timedelta(minutes=10)
ROWS = 60

SITES = {
    "corso-lodi": (9.2121, 45.4466),
    "viale-bligny": (9.1917, 45.4510),
    "mobility-area-lodi": (9.2113, 45.4461),
    "secret-garden": (9.2000, 45.4000),
}

#: name -> (kind, category, parent, visibility, site)
DEVICES: dict[str, tuple[str, str | None, str | None, str, str | None]] = {
    "lamp-corso-lodi-1": ("lamppost", None, None, "open", "corso-lodi"),
    "lamp-viale-bligny-1": ("lamppost", None, None, "open", "viale-bligny"),
    "lamp-hidden-1": ("lamppost", None, None, "restricted", "secret-garden"),
    "lamp-ops-1": ("lamppost", None, None, "ops", "corso-lodi"),
    "station-lodi": ("charging_point", None, None, "open", "mobility-area-lodi"),
    "cp-lodi-1": ("charging_point", "fast", "station-lodi", "open", "mobility-area-lodi"),
    "cp-lodi-2": ("charging_point", "normal", "station-lodi", "open", "mobility-area-lodi"),
    "cp-hidden-3": ("charging_point", "normal", "station-lodi", "restricted", "mobility-area-lodi"),
    "bay-corso-lodi-1": ("parking_sensor", "logistics", None, "open", "corso-lodi"),
    "bay-retired-1": ("parking_sensor", "logistics", None, "open", "corso-lodi"),
    "bay-child-1": ("parking_sensor", "disabled", "lamp-hidden-1", "open", None),
    "meter-main": ("energy_meter", "main", None, "open", "corso-lodi"),
    "meter-hidden-flat": ("energy_meter", "dwelling", "meter-main", "restricted", "secret-garden"),
    "room-hidden-1": ("indoor_sensor", None, None, "restricted", "secret-garden"),
}
HIDDEN = [name for name, device in DEVICES.items() if device[3] != "open"]


class World:
    """The city's database, filled directly, and when its first reading was."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = now - timedelta(hours=1) - STEP * ROWS
        self.end = self.start + STEP * ROWS
        #: When lamp-corso-lodi-1 was moved from viale-bligny to corso-lodi.
        self.moved = self.start + STEP * 6
        self.ids: dict[str, int] = {}

    def at(self, step: float) -> datetime:
        """The time of a reading."""
        return self.start + STEP * step

    def text(self, step: float) -> str:
        """The same, as the API writes it."""
        return self.at(step).isoformat().replace("+00:00", "Z")

    async def registry(self) -> None:
        """Write sites, devices and placements."""
        for name, (lon, lat) in SITES.items():
            await self.db.execute(
                "INSERT INTO usp.site (name, title, lon, lat) VALUES ($1, $2, $3, $4)", name, name.title(), lon, lat
            )
        for name, (kind, category, parent, visibility, site) in DEVICES.items():
            profile = f"test-{kind.replace('_', '-')}"
            interval = 600.0 if kind in {"lamppost", "energy_meter"} else None
            await self.db.execute(
                "INSERT INTO usp.profile (name, kind, interval, max_hold, definition) "
                "VALUES ($1, $2, $3, 90000, '{}') ON CONFLICT DO NOTHING",
                profile, kind, interval,
            )  # fmt: skip
            self.ids[name] = await self.db.fetchval(
                "INSERT INTO usp.device (name, kind, category, profile, parent, visibility) "
                "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
                name, kind, category, profile, self.ids.get(parent or ""), visibility,
            )  # fmt: skip
            if name == "lamp-corso-lodi-1":
                await self.place(name, "viale-bligny", None, self.moved)
                await self.place(name, site, self.moved, None)
            elif site:
                await self.place(name, site, None, None)
        await self.db.execute("UPDATE usp.device SET retired_at = now() WHERE name = 'bay-retired-1'")

    async def place(self, device: str, site: str | None, start: datetime | None, end: datetime | None) -> None:
        """Let a device stand at a site for a time."""
        await self.db.execute(
            "INSERT INTO usp.placement (device, site, valid) "
            "SELECT $1, id, tstzrange($3, $4) FROM usp.site WHERE name = $2",
            self.ids[device], site, start, end,
        )  # fmt: skip

    async def put(self, dataset: str, device: str, step: float, **values: Any) -> None:
        """Write a reading, and what of it is newest."""
        time, key = self.at(step), self.ids[device]
        flags = {"flagged": values.pop("flagged", 0), "flags": values.pop("flags", 0)}
        period = {"period": values.pop("period", 600.0)} if DATASETS[dataset].interval else {}
        row = {"time": time, "device": key, "received_at": time, **period, **values, **flags}
        await self._insert(f"usp.{dataset}", row, "DO NOTHING")
        for name, value in values.items():
            own = flags["flags"] & 15
            own |= 256 if flags["flagged"] & DATASETS[dataset].bit[name] else 0
            own |= 512 if flags["flags"] & DATASETS[dataset].bottom_bit.get(name, 0) else 0
            newest = {name: value, f"{name}_time": time, f"{name}_flags": own}
            newest |= {f"{name}_period": period["period"]} if period else {}
            sets = ", ".join(f"{column} = excluded.{column}" for column in newest)
            await self._insert(
                f"usp.{dataset}_latest AS l",
                {"device": key, "received_at": time, **newest},
                f"(device) DO UPDATE SET {sets} WHERE l.{name}_time IS NULL OR l.{name}_time < excluded.{name}_time",
            )

    async def _insert(self, table: str, row: dict[str, Any], conflict: str) -> None:
        marks = ", ".join(f"${i}" for i in range(1, len(row) + 1))
        await self.db.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT {conflict}",
            *row.values(),
        )

    async def readings(self) -> None:
        """Write twelve hours of everything."""
        for step in range(ROWS):
            for number, lamp in enumerate(name for name in DEVICES if name.startswith("lamp-")):
                await self.put("air_quality", lamp, step, pm2_5=10.1 + number, no2=float(step))
            await self.put("noise", "lamp-corso-lodi-1", step, laeq=61.5, lafmax=80.25)
        bits = DATASETS["air_quality"].bit
        await self.put("air_quality", "lamp-corso-lodi-1", 59.5, pm10=1840.0, no2=77.7, flagged=bits["pm10"], flags=8)
        coded = DATASETS["wifi"].bottom_bit["clients"]
        await self.put("wifi", "lamp-corso-lodi-1", 1, clients=0.0, rx_bytes=123456789012.0, flags=coded | 1)
        for step, status in enumerate(("available", "preparing", "charging", "finishing")):
            for point in ("cp-lodi-1", "cp-lodi-2", "cp-hidden-3"):
                await self.put("charging", point, step, status=status, power=0.1, energy=1000.125, soc=41.0)
        await self.put("charging", "cp-lodi-1", 5, soc=42.0)
        for step in range(4):
            for bay in ("bay-corso-lodi-1", "bay-retired-1", "bay-child-1"):
                await self.put("parking", bay, step, occupied=step % 2 == 0)
        for meter in ("meter-main", "meter-hidden-flat"):
            await self.put("energy", meter, 3, active_power=-4200.5, energy_import=123456.789)
        await self.put("indoor_climate", "room-hidden-1", 3, temperature=21.5)
        await self.put("device_health", "lamp-corso-lodi-1", 3, battery=55.0)


@pytest.fixture(scope="module")
async def world(db: Connection) -> World:
    """The city, written once for each module."""
    city = World(db)
    await city.registry()
    await city.readings()
    return city


@pytest.fixture(scope="module")
async def client(world: World, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger who asks the API about the city."""
    assert world.ids
    async with serving(database_url) as stranger:
        yield stranger


class serving:  # noqa: N801 - reads as what it does: `async with serving(url) as client`
    """The API over a database, without a socket."""

    def __init__(self, database_url: str, operations: Operations | None = None) -> None:
        settings = Settings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
        self._app = create_app(settings, operations=operations)
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def __aenter__(self) -> httpx.AsyncClient:
        self._lifespan = self._app.router.lifespan_context(self._app)
        await self._lifespan.__aenter__()
        return self._client

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)


@pytest.fixture
def usp(database_url: str) -> Any:
    """The command, run beside this loop: exit status, and what it printed."""

    async def run(*words: object) -> tuple[int, str]:
        args = [*map(str, words), "--database-url", database_url]
        result = await asyncio.to_thread(CliRunner().invoke, app, args)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return 1, str(result.exception)
        return result.exit_code, result.output

    return run
