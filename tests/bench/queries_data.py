"""A town to ask about: a year of lampposts in a district, one elsewhere minute by minute, and many newest values.

Rows lie in the order of their times, as they would have come in: a device's own are scattered over the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench.ingest import DEVICES

from usp.ingest.registry import publish_profiles
from usp.ingest.rollup import LAG, roll_up
from usp.models.dataset import VALUE_OUT_OF_RANGE
from usp.models.datasets import DATASETS
from usp.models.device import Device
from usp.models.profile import DeviceProfile
from usp.registry import bring_in_devices
from usp_simulators.load import VALUES, device_name

#: Of all devices those with a year of readings, in the district; the next one has a day, minute by minute.
LAMPS = 200
LAMPS_A_SITE = 5
DISTRICT = "9.0,45.4,9.1,45.5"
YEAR = timedelta(days=365)
DAY = timedelta(days=1)
#: One reading in so many has a value out of range.
_FLAGGED = 1000

_SITES = f"""
    INSERT INTO usp.site (name, title, lon, lat)
    SELECT 'corner-' || lpad(n::text, 3, '0'), 'Corner ' || n,
        CASE WHEN n < {LAMPS // LAMPS_A_SITE} THEN 9.005 ELSE 9.2 END + n % 10 * 0.009, 45.41 + n % 8 * 0.01
    FROM generate_series(0, {DEVICES // LAMPS_A_SITE - 1}) n
"""
_PLACEMENTS = f"""
    INSERT INTO usp.placement (device, site, valid)
    SELECT d.id, s.id, tstzrange(NULL, NULL) FROM unnest($1::text[]) WITH ORDINALITY u(name, n)
    JOIN usp.device d ON d.name = u.name
    JOIN usp.site s ON s.name = 'corner-' || lpad(((u.n - 1) / {LAMPS_A_SITE})::text, 3, '0')
"""
_IS_HIGH = f"(n + id) % {_FLAGGED} = 0"
# Tenths, as sensors tell them.
_VALUES = ", ".join(
    f"((abs(n * {7919 + 2 * k} + id * 104729) % {190 + 10 * k} + {20 + k}) / 10.0"
    f"{f' + CASE WHEN {_IS_HIGH} THEN 1800 ELSE 0 END' if name == 'pm10' else ''})::real"
    for k, name in enumerate(VALUES)
)


def _flags(name: str) -> str:
    bit = DATASETS["air_quality"].bit[name]
    return f"CASE WHEN r.flagged & {bit} <> 0 THEN {VALUE_OUT_OF_RANGE} ELSE 0 END"


_ROWS = f"""
    INSERT INTO usp.air_quality (time, device, {", ".join(VALUES)}, received_at, flagged)
    SELECT time, id, {_VALUES}, time + interval '2 s',
        CASE WHEN {_IS_HIGH} THEN {DATASETS["air_quality"].bit["pm10"]} ELSE 0 END
    FROM (
        SELECT n, id, $1::timestamptz + (n * $2::integer + id % $2::integer) * interval '1 s' AS time
        FROM generate_series($3::bigint, $4::bigint) n CROSS JOIN unnest($5::integer[]) id
    ) r
"""
_NEWEST = f"""
    INSERT INTO usp.air_quality_latest (device, received_at, {", ".join(f"{v}, {v}_time, {v}_flags" for v in VALUES)})
    SELECT id, r.received_at, {", ".join(f"r.{v}, r.time, {_flags(v)}" for v in VALUES)} FROM unnest($1::integer[]) id
    CROSS JOIN LATERAL (SELECT * FROM usp.air_quality WHERE device = id ORDER BY time DESC LIMIT 1) r
"""


@dataclass(frozen=True)
class Town:
    """What there is: `step` seconds lie between two readings of a lamppost, the last before `end`, a full hour."""

    step: int
    end: datetime
    profile: DeviceProfile

    @property
    def start(self) -> datetime:
        """A year before the end."""
        return self.end - YEAR

    @property
    def readings(self) -> int:
        """How many readings each lamppost has."""
        return int(YEAR.total_seconds()) // self.step

    @property
    def rows(self) -> int:
        """How many readings the lampposts have together."""
        return LAMPS * self.readings


def town_of(rows: int) -> Town:
    """A town with so many rows, or a few more."""
    step = int(YEAR.total_seconds()) * LAMPS // rows
    # What is younger may not be rolled up yet.
    end = (datetime.now(UTC) - LAG).replace(minute=0, second=0, microsecond=0)
    profile = DeviceProfile(name="lamppost-bench", title="Bench", kind="lamppost", interval=step)
    return Town(step, end, profile)


async def build(connection: Any, town: Town, say: Callable[[str], None]) -> None:
    """Fill a migrated database."""
    names = [device_name(n) for n in range(DEVICES)]
    await publish_profiles(connection, {town.profile.name: town.profile})
    devices = [Device(name=name, kind="lamppost", profile=town.profile.name) for name in names]
    await bring_in_devices(connection, devices)
    await connection.execute(_SITES)
    await connection.execute(_PLACEMENTS, names)
    found = dict(await connection.fetch("SELECT name, id FROM usp.device"))
    ids = [found[name] for name in names]
    say("writing rows")
    await _write(connection, town, ids)
    # The more devices have ever reported, the fewer hours are rolled up at a time: the others begin afterwards.
    await connection.execute(_NEWEST, ids[: LAMPS + 1])
    say("rolling up")
    while await roll_up(connection, town.end):
        pass
    await connection.execute(_ROWS, town.end, 300, 0, 0, ids[LAMPS + 1 :])
    await connection.execute(_NEWEST, ids[LAMPS + 1 :])
    say("vacuum and analyze")
    await connection.execute("VACUUM (ANALYZE)")
    await connection.execute("CHECKPOINT")


async def _write(connection: Any, town: Town, ids: list[int]) -> None:
    await connection.execute("SET synchronous_commit = off")
    piece = max(1, 200_000 // LAMPS)
    for first in range(0, town.readings, piece):
        last = min(first + piece, town.readings) - 1
        await connection.execute(_ROWS, town.start, town.step, first, last, ids[:LAMPS])
    await connection.execute(_ROWS, town.end - DAY, 60, 0, 1439, [ids[LAMPS]])
    await connection.execute("SET synchronous_commit = on")
