"""What is asked, and the best SQL that somebody who knows the tables would write for the same answer.

It sees all tables, spares itself views and visibility, and knows what of the town never changes. It may only ever be
made faster: a ratio against a slow denominator says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.bench.ingest import DEVICES
from tests.bench.queries_data import DISTRICT, LAMPS, YEAR, Town

from usp_simulators.load import VALUES, device_name

_AIR = "/v1/datasets/air_quality"
_TIME = "replace(left({0}::text, -3), ' ', 'T') || 'Z'"
_HIGH = "CASE WHEN r.flagged <> 0 THEN 'pm10:out_of_range' END"
_EXPORTED_ROWS = 1_000_000


@dataclass(frozen=True)
class Aim:
    """What is aimed at; `met` is told the seconds of ours, of the hand-written, and the number of rows."""

    text: str
    met: Callable[[float, float, int], bool]


def _within(milliseconds: int) -> Aim:
    return Aim(f"≤ {milliseconds} ms", lambda ours, _, __: ours * 1000 <= milliseconds)


_THREE_TIMES = Aim("≤ 3 of raw", lambda ours, by_hand, _: ours <= 3 * by_hand)
_LIKE_COPY = Aim("≥ 0.9 of COPY", lambda ours, by_hand, _: by_hand / ours >= 0.9)
_HALF_A_MILLION = Aim("≥ 500,000 rows/s", lambda ours, _, rows: rows / ours >= 500_000)


@dataclass(frozen=True, kw_only=True)
class Question:
    """An address of the API, and a statement that is fetched or, of an export, copied out as CSV with a header.

    `settings` are made before the statement runs: an export is sorted in memory.
    """

    label: str
    path: str
    sql: str
    values: tuple[Any, ...]
    rows: int
    aim: Aim
    runs: int = 15
    settings: str = ""

    @property
    def copied(self) -> bool:
        """Whether it is an export."""
        return "format=" in self.path

    @property
    def textual(self) -> bool:
        """Whether COPY writes the very same text."""
        return "format=csv" in self.path


def questions(town: Town) -> dict[str, Question]:
    """All questions by name."""
    day, month, year = ((town.end - timedelta(days=days), town.end) for days in (1, 30, YEAR.days))
    exported = min(_EXPORTED_ROWS, town.readings // 2 * LAMPS)
    first = (town.start, town.start + timedelta(seconds=exported // LAMPS * town.step))
    months = {
        "month": ("30 days of 200 devices, hourly", "device", 720 * LAMPS, _BY_DEVICE),
        "month-site": ("the same by site", "site", 720 * LAMPS // 5, _BY_SITE),
        "month-all": ("the same altogether", "all", 720, _BY_ALL),
    }
    return {
        "latest": Question(
            label=f"latest of {DEVICES:,} devices",
            path=_path("latest", limit=DEVICES, properties=",".join(VALUES)),
            sql=_LATEST, values=(), rows=DEVICES, aim=_within(10),
        ),
        "day": Question(
            label="24 h of one device, 1,440 rows of 8",
            path=_readings(day, device=device_name(LAMPS), properties=",".join(VALUES), limit=10_000),
            sql=_DAY, values=(device_name(LAMPS), *day), rows=1440, aim=_THREE_TIMES,
        ),
        "year": Question(
            label="a year of one device, hourly",
            path=_readings(year, device=device_name(0), bucket="1h", properties="pm2_5", limit=10_000),
            sql=_YEAR, values=(device_name(0), *year), rows=8760, aim=_within(50),
        ),
        **{
            name: Question(
                label=label,
                path=_readings(month, bbox=DISTRICT, bucket="1h", by=by, properties="pm2_5", format="csv"),
                sql=sql, values=(*map(float, DISTRICT.split(",")), *month), rows=rows, aim=_within(300), runs=7,
            )
            for name, (label, by, rows, sql) in months.items()
        },
        "csv": Question(
            label=f"CSV of {exported:,} rows",
            path=_readings(first, format="csv"),
            sql=_EXPORT, values=first, rows=exported,
            aim=_LIKE_COPY, runs=5, settings="SET work_mem = '512MB'",
        ),
        "parquet": Question(
            label="Parquet of a year of pm2_5",
            path=_readings(year, kind="lamppost", properties="pm2_5", format="parquet"),
            sql=_EXPORT_ONE, values=year, rows=town.rows + 1440,
            aim=_HALF_A_MILLION, runs=2, settings="SET work_mem = '2GB'",
        ),
    }  # fmt: skip


def _path(what: str, **asked: object) -> str:
    return f"{_AIR}/{what}?{urlencode(asked)}"


def _readings(window: tuple[datetime, datetime], **asked: object) -> str:
    start, end = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in window)
    return _path("readings", **{"from": start, "to": end}, **asked)


_LATEST = f"""
    SELECT d.name AS device, greatest({", ".join(f"r.{v}_time" for v in VALUES)}) AS time, s.name AS site, s.lon, s.lat,
        {", ".join(f"r.{v}, r.{v}_time" for v in VALUES)},
        CASE WHEN r.pm10_flags & 256 <> 0 THEN 'pm10:out_of_range' END AS flags
    FROM usp.air_quality_latest r JOIN usp.device d ON d.id = r.device
    JOIN usp.placement l ON l.device = r.device AND l.valid @> now() JOIN usp.site s ON s.id = l.site
    ORDER BY d.name LIMIT {DEVICES}
"""
_DAY = f"""
    SELECT r.time, d.name AS device, s.name AS site, s.lon, s.lat, {", ".join(f"r.{v}" for v in VALUES)},
        {_HIGH} AS flags
    FROM usp.device d JOIN usp.placement l ON l.device = d.id JOIN usp.site s ON s.id = l.site
    JOIN usp.air_quality r ON r.device = d.id
    WHERE d.name = $1 AND r.time >= $2 AND r.time < $3 ORDER BY r.time
"""
_COUNTS = """
    coalesce({count}, 0) AS count, round({expected}) AS expected,
    round(coalesce({count}, 0) / ({expected}) * 10000) / 10000 AS coverage, coalesce({flagged}, 0) AS flagged
"""
_OF_ONE = _COUNTS.format(count="h.pm2_5_count", flagged="h.pm2_5_flagged", expected="3600 / d.interval")
_HOURS = "SELECT h.hour, h.device, h.pm2_5_count, h.pm2_5_flagged, h.pm2_5_sum FROM usp.air_quality_hourly h"
# First the hours alone, by their index; then the grid is joined to them by a hash.
_YEAR = f"""
    WITH d AS MATERIALIZED (
        SELECT d.id, d.name, p.interval FROM usp.device d JOIN usp.profile p ON p.name = d.profile WHERE d.name = $1
    ), h AS MATERIALIZED (
        {_HOURS} WHERE h.device = (SELECT id FROM d) AND h.hour >= $2 AND h.hour < $3
    )
    SELECT g.start, d.name AS device, (h.pm2_5_sum / h.pm2_5_count)::real AS pm2_5_mean, {_OF_ONE}
    FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 hour', interval '1 hour') g(start)
    CROSS JOIN d LEFT JOIN h ON h.hour = g.start ORDER BY g.start
"""
_STANDING = f"""
    WITH d AS MATERIALIZED (
        SELECT d.id, d.name, p.interval, s.name AS site
        FROM usp.site s JOIN usp.placement l ON l.site = s.id JOIN usp.device d ON d.id = l.device
        JOIN usp.profile p ON p.name = d.profile
        WHERE s.lon >= $1 AND s.lat >= $2 AND s.lon <= $3 AND s.lat <= $4
    ), h AS MATERIALIZED (
        {_HOURS} WHERE h.device = ANY(ARRAY(SELECT id FROM d)) AND h.hour >= $5 AND h.hour < $6
    ), g AS MATERIALIZED (
        SELECT * FROM generate_series($5::timestamptz, $6::timestamptz - interval '1 hour', interval '1 hour') g(start)
    )
"""
_BY_DEVICE = f"""
    {_STANDING}
    SELECT {_TIME.format("g.start")} AS start, d.name AS device, (h.pm2_5_sum / h.pm2_5_count)::real AS pm2_5_mean,
        {_OF_ONE}
    FROM d CROSS JOIN g LEFT JOIN h ON h.device = d.id AND h.hour = g.start ORDER BY g.start, d.name
"""
_OF_GROUP = _COUNTS.format(count="h.rows", flagged="h.flagged", expected="3600 * d.rate")
_TOGETHER = f"""
    {_STANDING}
    SELECT {_TIME.format("g.start")} AS start, {{site}} (h.sum / h.rows)::real AS pm2_5_mean, {_OF_GROUP}
    FROM (SELECT {{site}} sum(1 / d.interval) AS rate FROM d {{by_site}}) d CROSS JOIN g
    LEFT JOIN (
        SELECT h.hour, {{site}} sum(h.pm2_5_sum) AS sum, sum(h.pm2_5_count) AS rows, sum(h.pm2_5_flagged) AS flagged
        FROM h JOIN d ON d.id = h.device GROUP BY h.hour {{and_site}}
    ) h ON h.hour = g.start {{same_site}} ORDER BY g.start {{and_site}}
"""
_BY_ALL = _TOGETHER.format(site="", by_site="", and_site="", same_site="")
_BY_SITE = _TOGETHER.format(
    site="d.site,", by_site="GROUP BY d.site", and_site=", d.site", same_site="AND h.site = d.site"
)
# Names and places are joined to rows in order: sorting carries numbers only.
_ROWS = """
    SELECT {time} AS time, d.name AS device, d.site, d.lon, d.lat, {values} AS flags
    FROM usp.air_quality r JOIN (
        SELECT d.id, d.name, s.name AS site, s.lon, s.lat FROM usp.device d
        JOIN usp.placement l ON l.device = d.id JOIN usp.site s ON s.id = l.site
    ) d ON d.id = r.device
    WHERE r.time >= $1 AND r.time < $2 ORDER BY r.time, d.name
"""
_EXPORT = _ROWS.format(time=_TIME.format("r.time"), values=", ".join([*(f"r.{v}" for v in (*VALUES, "co2")), _HIGH]))
_EXPORT_ONE = _ROWS.format(time="r.time", values="r.pm2_5, NULL")
