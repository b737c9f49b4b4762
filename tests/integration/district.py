"""The demonstration's registry in a database, with readings of its devices as they might have come in over a year."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

from tests.integration.conftest import Connection

from usp.db import WRITER_ROLE, connect
from usp.ingest.batch import Batch
from usp.ingest.registry import publish_profiles
from usp.ingest.rollup import roll_up
from usp.ingest.writer import Writer
from usp.models.datasets import DATASETS
from usp.models.device import Device
from usp.profiles import load_profiles
from usp.registry import MILAN, bring_in_devices, bring_in_sites, read_devices, read_sites

STATION = "station-lodi"
#: The building's main meter, of which the others are parts.
MAIN, COMMON, PLANT = "meter-tito-livio-main", "meter-tito-livio-common", "meter-tito-livio-pv"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Reading(NamedTuple):
    """What one device measured at one time; `period` is of interval datasets, `flagged` of implausible values."""

    device: str
    time: datetime
    values: dict[str, Any]
    period: float = 60.0
    flagged: frozenset[str] = frozenset()


class District:
    """Puts readings where the platform's own writers put them."""

    def __init__(self, url: str, db: Connection) -> None:
        self.url = url
        self.db = db
        self.chance = random.Random(20251026)  # noqa: S311 - the same city each time
        self.devices = {d.name: d for d in read_devices(MILAN / "devices.csv")}
        self._ids: dict[str, int] = {}

    async def register(self) -> None:
        """The district of `make run`; and one station of which the charging points are parts."""
        await publish_profiles(self.db, load_profiles())
        await bring_in_sites(self.db, read_sites(MILAN / "sites.csv"))
        points = [name for name in self.devices if name.startswith("cp-lodi-")]
        self.devices[STATION] = Device(
            name=STATION, kind="charging_point", profile="milan-charging-point", site="mobility-area-lodi"
        )
        await bring_in_devices(self.db, [*self.devices.values()])
        await self.db.execute(
            "UPDATE usp.device SET parent = (SELECT id FROM usp.device WHERE name = $1) WHERE name = ANY($2)",
            STATION, points,
        )  # fmt: skip
        self._ids = {d["name"]: d["id"] for d in await self.db.fetch("SELECT name, id FROM usp.device")}

    def named(self, begin: str, category: str | None = None) -> list[str]:
        """Devices whose names begin so."""
        return [n for n, d in self.devices.items() if n.startswith(begin) and category in {None, d.category}]

    async def put(self, dataset: str, readings: Iterable[Reading]) -> None:
        """Write readings in their order, as a worker does."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test")
        writer = Writer(0)
        await writer.prepare(connection)
        rows = ((dataset, self._row(dataset, reading)) for reading in readings)
        while some := [*islice(rows, 20_000)]:
            batch = Batch()
            batch.add_rows(some)
            await writer.commit(connection, batch)
        await connection.close()

    async def roll_up(self, until: datetime) -> None:
        """Bring the partials up to an hour, in as many rounds as it takes."""
        connection = await connect(self.url, role=WRITER_ROLE, application="test-rollup")
        while await roll_up(connection, until) or await connection.fetchval(
            "SELECT bool_or(rolled < $1) FROM usp.rollup", until
        ):
            pass
        await connection.close()

    def _row(self, dataset: str, reading: Reading) -> list[Any]:
        known = DATASETS[dataset]
        period = [reading.period] if known.interval else []
        values = [reading.values.get(p.name) for p in known.properties]
        flagged = sum(known.bit[name] for name in reading.flagged)
        present = sum(known.bit[name] for name in reading.values)
        return [reading.time, self._ids[reading.device], *period, *values, flagged, 0, reading.time, present]

    def air(self, start: datetime, end: datetime, step: timedelta) -> Iterator[Reading]:
        """Fine dust of all lampposts, now and then an impossible value."""
        for time in _times(start, end, step):
            for lamp in self.named("lamp-"):
                value = round(self.chance.gammavariate(4, 5), 1)
                if self.chance.random() < 0.003:
                    yield Reading(lamp, time, {"pm2_5": 4000.0, "no2": value}, flagged=frozenset({"pm2_5"}))
                elif self.chance.random() > 0.02:
                    yield Reading(lamp, time, {"pm2_5": value, "pm10": value * 1.5, "no2": value * 2})

    def noise(self, start: datetime, end: datetime) -> Iterator[Reading]:
        """Sound levels of all lampposts: each has an interval of its own, and one changes it."""
        for number, lamp in enumerate(self.named("lamp-")):
            time = start
            while time < end:
                period = (60.0, 300.0, 900.0)[number % 3]
                if number == 1 and time > start + (end - start) / 2:
                    period = 600.0
                level = round(self.chance.gauss(55, 8), 1)
                flagged = frozenset({"laeq"} if self.chance.random() < 0.01 else ())
                yield Reading(lamp, time, {"laeq": 500.0 if flagged else level, "lafmax": level + 9}, period, flagged)
                time += timedelta(seconds=period)

    def charging(self, start: datetime, end: datetime) -> Iterator[Reading]:
        """Sessions at the six points of one station: a message at each change, and signs of life.

        One point is cut off for ten hours, and another's register begins anew with each fault.
        """
        for number, point in enumerate(self.named("cp-lodi-")):
            energy, time = 1000.0 * number, start + number * MINUTE
            for status, kw, length in self._sessions():
                until = min(time + length, end)
                energy = 0.25 if number == 2 and status == "faulted" else energy
                while time < until:
                    if number != 1 or not 30 < (time - start) / HOUR < 40:
                        values = {"status": status, "power": 1000.0 * kw, "energy": round(energy, 3)}
                        yield Reading(point, time, values)
                    step = min(5 * MINUTE if kw else 15 * MINUTE, until - time)
                    energy += kw * (step / HOUR)
                    time += step
                if time == end:
                    break

    def _sessions(self) -> Iterator[tuple[str, float, timedelta]]:
        for number in count():
            yield "available", 0.0, timedelta(seconds=self.chance.randint(60, 8 * 3600))
            yield "preparing", 0.0, timedelta(seconds=self.chance.randint(5, 300))
            yield "charging", 7.4, timedelta(seconds=self.chance.randint(600, 3 * 3600))
            yield "finishing", 0.0, timedelta(seconds=self.chance.randint(5, 1800))
            if number % 4 == 2:
                yield "faulted", 0.0, 2 * HOUR

    def energy(self, start: datetime, end: datetime, step: timedelta) -> Iterator[Reading]:
        """Registers of a building's meters, of which the main one is replaced once."""
        registers = {MAIN: (31_000.0, 900.0), COMMON: (70.0, 0.0), PLANT: (12.0, 8_000.0)}
        replaced = start + (end - start) * 0.6
        for time in _times(start, end, step):
            sun = self.chance.random() * (8 <= time.hour < 17)
            power = {MAIN: (3.0 - 2 * sun, sun), COMMON: (0.7, 0.0), PLANT: (0.01, 4 * sun)}
            for meter, (taken, given) in registers.items():
                (kw_in, kw_out), hours = power[meter], step / HOUR
                registers[meter] = taken + kw_in * hours, given + kw_out * hours
                if meter == MAIN and replaced <= time < replaced + step:
                    registers[meter] = 0.5, 0.0
                values = {"energy_import": registers[meter][0], "energy_export": registers[meter][1]}
                yield Reading(meter, time, values | {"active_power": 1000 * (kw_in - kw_out)})

    def parking(self, start: datetime, end: datetime) -> Iterator[Reading]:
        """Arrivals and departures at all bays."""
        for bay in self.named("bay-"):
            time, occupied = start + self.chance.random() * HOUR, self.chance.random() < 0.5
            while time < end:
                yield Reading(bay, time, {"occupied": occupied})
                time += timedelta(seconds=self.chance.randint(300, 6 * 3600))
                occupied = not occupied

    def weather(self, start: datetime, end: datetime, step: timedelta) -> Iterator[Reading]:
        """Temperature and wind of all lampposts."""
        for time in _times(start, end, step):
            for lamp in self.named("lamp-"):
                wind = {"wind_speed": 2.0, "wind_direction": self.chance.uniform(300, 420) % 360}
                yield Reading(lamp, time, {"temperature": self.chance.gauss(12, 3), "rainfall": 0.0, **wind})

    def traffic(self, start: datetime, end: datetime, step: timedelta) -> Iterator[Reading]:
        """Counts and mean speed of the lampposts with a detector."""
        lamps = [n for n, d in self.devices.items() if d.profile == "milan-lamppost-traffic"]
        for time in _times(start, end, step):
            for lamp in lamps:
                passing = float(self.chance.randint(0, 30))
                speed = {"speed": self.chance.gauss(38, 6)} if passing else {}
                yield Reading(lamp, time, {"vehicles": passing, "bicycles": 2.0, **speed}, step.total_seconds())


def _times(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    time = start.astimezone(UTC)
    while time < end:
        yield time
        time += step
