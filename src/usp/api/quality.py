"""Quality as data: how complete, how fresh and how plausible what a device or a dataset reports is.

What each figure means, and how it is computed, stands in docs/data-quality.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from usp.api import details, params
from usp.api.auth import Reader
from usp.api.buckets import PLANNER
from usp.api.quality_figures import Device, Hours, Row, Stuck, counts, devices, whole
from usp.db import Connection
from usp.errors import QueryError
from usp.models.bucket import Asked, Statistic, Width
from usp.models.dataset import FLAG_WORDS, ROW_FLAG_NAMES, Dataset, Property, RowFlag
from usp.models.datasets import DATASETS
from usp.models.edges import HOUR, edges, full_hour
from usp.models.query import Places, TimeWindow

Document = dict[str, Any]

MOST = timedelta(days=31)
#: Devices that have least of what they should, told by name.
WORST = 20
#: Completeness under this is told as a fault.
INCOMPLETE = 0.9

_HEALTH = "device_health"
_DAYS = """
    SELECT coalesce(sum(duplicate), 0)::bigint AS duplicate, coalesce(sum(rejected), 0)::bigint AS rejected
    FROM device_day WHERE device_id = ANY($1::int[]) AND day BETWEEN $2 AND $3
"""


@dataclass(frozen=True)
class Studied:
    """A dataset as some devices report it."""

    dataset: Dataset
    properties: tuple[Property, ...]
    devices: list[Device]
    #: Values left out, by property.
    flagged: dict[str, int]
    stuck: list[Stuck]
    raw: Row
    #: Raw rows before this are no part of it, or gone.
    raw_from: datetime


def window(texts: params.Texts, now: datetime) -> TimeWindow:
    """The full hours of UTC that meet what is asked for, up to the running one. Raises QueryError where too many."""
    asked, _ = params.window_and_page(texts, paged=False, now=now)
    if asked.end - asked.start > MOST:
        raise QueryError(
            f"These are more than {MOST.days} days, and quality is told of {MOST.days} at most; take a later `from`.",
            parameter="from",
        )
    hours = edges(Width.HOUR, asked, ZoneInfo("UTC"))
    present = full_hour(now) + HOUR
    return TimeWindow(hours[0], max(min(hours[-1], present), hours[1]))


async def device(name: str, asked: TimeWindow, reader: Reader) -> Document:
    """The quality of all that a device has ever reported. Raises NothingThere."""
    known = await details.device(name, reader)
    places = Places(devices=(name,))
    reported = [DATASETS[each["dataset"]] for each in known["datasets"] if "last_time" in each]
    studied = [await _study(dataset, asked, places, reader, only=name) for dataset in reported]
    async with reader.database.connection() as connection:
        key = await connection.fetchval("SELECT id FROM device WHERE name = $1", name)
        items = await _items(connection, [key], asked)
    found = {"device": name, "from": asked.start, "to": asked.end, **items}
    found |= await _radio(asked, places, reader, {name})
    return found | {
        "datasets": [{"dataset": each.dataset.name, **_figures(each, alone=True)} for each in studied],
        "flags": _words(studied),
    }


async def dataset(chosen: Dataset, asked: TimeWindow, places: Places, reader: Reader) -> Document:
    """The quality of a dataset over all devices that report it."""
    studied = await _study(chosen, asked, places, reader)
    async with reader.database.connection() as connection:
        items = await _items(connection, [d.id for d in studied.devices], asked)
    found = {"dataset": chosen.name, "from": asked.start, "to": asked.end, "devices": _devices(studied)}
    found |= _figures(studied, alone=False) | items
    found |= await _radio(asked, places, reader, {d.name for d in studied.devices})
    return found | {"worst": _worst(studied), "flags": _words([studied])}


async def _study(
    chosen: Dataset, asked: TimeWindow, places: Places, reader: Reader, only: str | None = None
) -> Studied:
    properties = chosen.visible(reader.visibility)
    rows = await whole(chosen, counts(properties), asked, places, reader.database)
    async with (
        reader.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(PLANNER)
        # A parent stands for its children too; here it stands for itself.
        rows = [row for row in rows if only in {None, row["device"]}]
        found = await devices(connection, chosen, properties, rows)
        ((rolled, raw_from),) = await connection.fetch(
            "SELECT rolled, raw_from FROM rollup WHERE dataset = $1", chosen.name
        )
        hours = Hours(chosen, properties, asked, places, rolled)
        flagged, stuck = await hours.flagged(connection, found), await hours.stuck(connection, found)
        raw = await hours.raw(connection, found)
    return Studied(chosen, properties, found, flagged, stuck, raw, max(asked.start, raw_from))


async def _items(connection: Connection, ids: list[int], asked: TimeWindow) -> Document:
    last = asked.end - timedelta(microseconds=1)
    ((duplicate, rejected),) = await connection.fetch(_DAYS, ids, asked.start.date(), last.date())
    return {"duplicate": duplicate, "rejected": rejected}


async def _radio(asked: TimeWindow, places: Places, reader: Reader, names: set[str]) -> Document:
    """Frames received and lost by radio; nothing for those who may not see how devices are doing."""
    health = DATASETS[_HEALTH]
    if not health.visible(reader.visibility):
        return {}
    lost, frame = health.by_name["frames_lost"], health.by_name["frame_counter"]
    wanted = (*counts([frame, lost]), Asked(lost, Statistic.SUM))
    rows = [r for r in await whole(health, wanted, asked, places, reader.database) if r["device"] in names]
    gone, compared = (int(sum(r[c] or 0 for r in rows)) for c in ("frames_lost_sum", "frames_lost_count"))
    told = {
        "frames": int(sum(row["frame_counter_count"] for row in rows)),
        "compared": compared,
        "frames_lost": gone,
        "share_lost": round(gone / (gone + compared), 4) if gone + compared else None,
    }
    return {"radio": told}


def _figures(studied: Studied, *, alone: bool) -> Document:
    """What is told of a dataset, of one device or of many."""
    listed, raw = studied.devices, studied.raw
    last = max(listed, key=lambda d: d.last_time, default=None)
    expected = [d.expected for d in listed if d.expected is not None]
    delays = [None if delay is None else round(delay, 3) for delay in raw["delays"] or (None, None)]
    sources = {word.partition(":")[2]: raw[word] for flag, word in ROW_FLAG_NAMES.items() if flag is not RowFlag.LATE}
    return {
        "last_time": None if last is None else last.last_time,
        "age_s": None if last is None else last.age_s,
        "count": sum(d.count for d in listed),
        "expected": sum(expected) if expected else None,
        "completeness": _completeness(listed),
        "flagged": sum(d.flagged for d in listed),
        "raw": {
            "from": studied.raw_from,
            **({} if alone else {"devices": raw["devices"]}),
            "rows": raw["rows"],
            "late": raw["late"],
            "delay_p50_s": delays[0],
            "delay_p95_s": delays[1],
            "time": {"device": raw["rows"] - sum(sources.values()), **sources},
        },
        "properties": [_property(p, studied, alone=alone) for p in studied.properties],
    }


def _completeness(listed: Sequence[Device]) -> float | None:
    """Of devices with an interval Σcount/Σexpected, of the others the mean of their shares; all devices weigh alike."""
    timed = [d for d in listed if d.expected]
    shares = [d.completeness for d in listed if d.expected is None and d.completeness is not None]
    if not timed and not shares:
        return None
    if len(listed) == 1:
        return listed[0].completeness
    rate = sum(d.count for d in timed) / sum(d.expected or 0 for d in timed) if timed else 0.0
    return round((rate * len(timed) + sum(shares)) / (len(timed) + len(shares)), 4)


def _property(prop: Property, studied: Studied, *, alone: bool) -> Document:
    stuck = [each for each in studied.stuck if each.property == prop.name]
    found: Document = {
        "property": prop.name,
        "count": sum(d.counts[prop.name] for d in studied.devices),
        "flagged": studied.flagged.get(prop.name, 0),
    }
    if prop.name in studied.dataset.bottom_bit:
        found["bottom_coded"] = studied.raw[f"{prop.name}:bottom_coded"]
    if not alone:
        found["stuck_devices"] = len(stuck)
    elif stuck:
        (one,) = stuck
        found["stuck"] = {"value": one.value, "since": one.since, "readings": one.readings}
    return found


def _devices(studied: Studied) -> Document:
    serving = [d for d in studied.devices if not d.retired]
    return {
        "expected": len(serving),
        "reporting": sum(d.reporting for d in serving),
        "silent": sum(not d.reporting for d in serving),
        "flagged": sum(d.flagged > 0 for d in studied.devices),
        "stuck": len({each.device for each in studied.stuck}),
    }


def _worst(studied: Studied) -> list[Document]:
    """Devices with the most faults first, of these the least complete."""
    stuck: dict[int, list[str]] = {}
    for one in studied.stuck:
        stuck.setdefault(one.device, []).append(one.property)
    found = []
    for each in studied.devices:
        faults = {
            "silent": not (each.reporting or each.retired),
            "incomplete": each.completeness is not None and each.completeness < INCOMPLETE,
            "stuck": each.id in stuck,
            "flagged": each.flagged > 0,
        }
        why = [word for word, is_so in faults.items() if is_so]
        if why:
            found.append((len(why), each, why))
    found.sort(key=lambda row: (-row[0], 1.0 if row[1].completeness is None else row[1].completeness, row[1].name))
    return [
        {
            "device": each.name,
            "why": why,
            "last_time": each.last_time,
            "completeness": each.completeness,
            "flagged": each.flagged,
            "stuck": sorted(stuck.get(each.id, ())),
        }
        for _, each, why in found[:WORST]
    ]


def _words(studied: Iterable[Studied]) -> dict[str, str]:
    """The flags that occur, in words."""
    found: dict[str, str] = {}
    for each in studied:
        found |= {f"{p.name}:out_of_range": _bounds(p) for p in each.properties if p.name in each.flagged}
        coded = [p for p in each.properties if p.name in each.dataset.bottom_bit]
        found |= {
            f"{p.name}:bottom_coded": f"{FLAG_WORDS['bottom_coded']} Told are {p.bottom_code} and more."
            for p in coded
            if each.raw[f"{p.name}:bottom_coded"]
        }
        found |= {word: FLAG_WORDS[word] for word in ROW_FLAG_NAMES.values() if each.raw[word]}
    return found


def _bounds(prop: Property) -> str:
    if prop.low is None or prop.high is None:
        return FLAG_WORDS["out_of_range"]
    unit = f" {prop.unit}" if prop.unit else ""
    return f"{FLAG_WORDS['out_of_range']} Plausible is {prop.low:g} to {prop.high:g}{unit}."
