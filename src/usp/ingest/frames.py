"""Frames lost by radio: the gaps in a device's frame counter, told apart from what was lost on the way to us.

A LoRaWAN device counts its frames (LoRaWAN 1.0.4, 4.3.1.5), beginning anew at a join. A gap counts as lost by radio
where our connection to the network server was unbroken meanwhile; else nobody can tell, and `frames_lost` is empty.
"""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from usp.db import Connection
from usp.ingest.batch import Batch, Rows
from usp.ingest.normalise import Row
from usp.models.datasets import DATASETS

DATASET = "device_health"

_NAMES = [p.name for p in DATASETS[DATASET].properties]
_COUNTER = 2 + _NAMES.index("frame_counter")
_LOST = 2 + _NAMES.index("frames_lost")
_LOST_BIT = DATASETS[DATASET].bit["frames_lost"]

# In the order in which they are updated later, so that two writers never wait for each other.
_NEWEST = f"""
    SELECT device, frame_counter AS counter, frame_counter_time AS time, received_at FROM usp.{DATASET}_latest
    WHERE device = ANY($1) AND frame_counter_time IS NOT NULL ORDER BY device FOR UPDATE
"""

# A frame that came late splits a gap in two. Only rows of this transaction are late ones; equal ones stood before.
_REPAIR = f"""
    WITH late AS (
        SELECT t.device, t.time, t.frame_counter FROM usp.{DATASET} t
        JOIN unnest($1::integer[], $2::timestamptz[]) k (device, time) USING (device, time)
        WHERE t.xmin = pg_current_xact_id()::xid
    ), touched AS (
        SELECT device, time FROM late
        UNION
        SELECT l.device, n.time FROM late l CROSS JOIN LATERAL (
            SELECT time FROM usp.{DATASET} WHERE device = l.device AND time > l.time AND frame_counter IS NOT NULL
            ORDER BY time LIMIT 1
        ) n
    ), found AS (
        SELECT t.device, t.time, t.frame_counter - p.frame_counter - 1 AS gap,
            (SELECT frames_lost FROM usp.{DATASET} WHERE device = t.device AND time >= t.time
                AND frame_counter IS NOT NULL AND xmin <> pg_current_xact_id()::xid
             ORDER BY time LIMIT 1) IS NOT NULL AS known
        FROM touched JOIN usp.{DATASET} t USING (device, time)
        LEFT JOIN LATERAL (
            SELECT frame_counter FROM usp.{DATASET} WHERE device = t.device AND time < t.time
                AND frame_counter IS NOT NULL ORDER BY time DESC LIMIT 1
        ) p ON true
    ), changed AS (
        UPDATE usp.{DATASET} t SET frames_lost = CASE WHEN gap = 0 OR (gap > 0 AND known) THEN gap END
        FROM found WHERE t.device = found.device AND t.time = found.time
        RETURNING t.device, t.time, t.frames_lost
    ), marked AS (
        INSERT INTO usp.rollup_mark (dataset, device, hour)
        SELECT DISTINCT '{DATASET}', device, date_trunc('hour', time, 'UTC') FROM changed
    )
    UPDATE usp.{DATASET}_latest l SET frames_lost = changed.frames_lost
    FROM changed WHERE l.device = changed.device AND l.frames_lost_time = changed.time
"""


class _Last(NamedTuple):
    counter: float | None
    time: datetime
    received_at: datetime


async def count_lost(connection: Connection, batch: Batch, rows: Rows) -> tuple[Rows, list[tuple[int, datetime]]]:
    """Rows of device_health with what was lost before each, and (device, time) of those that came late."""
    # ChirpStack tells the battery in a message of its own, before the uplink that brought it and with its time: the row
    # with the counter then follows that one.
    every = [*rows.rows, *(row for row, _ in rows.followers)]
    counted: dict[tuple[int, datetime], int] = {}
    for number, row in enumerate(every):
        if row[_COUNTER] is not None:
            counted.setdefault((row[1], row[0]), number)
    if not counted:
        return rows, []
    records = await connection.fetch(_NEWEST, [*{device for device, _ in counted}])
    last = {r["device"]: _Last(r["counter"], r["time"], r["received_at"]) for r in records}
    result, late = [*every], []
    for (device, time), number in sorted(counted.items()):
        row, before = every[number], last.get(device)
        if before is not None and time <= before.time:
            late.append((device, time))
            continue
        lost = _lost(before, row, batch)
        if lost is not None:
            # A copy: should the commit fail, the next attempt counts anew.
            result[number] = [*row[:-1], row[-1] | _LOST_BIT]
            result[number][_LOST] = lost
        last[device] = _Last(row[_COUNTER], time, row[-2])
    count = len(rows.rows)
    followers = [*zip(result[count:], (owner for _, owner in rows.followers), strict=True)]
    return replace(rows, rows=result[:count], followers=followers), late


def _lost(before: _Last | None, row: Row, batch: Batch) -> float | None:
    """The frames between two that came; None where the counter began anew, or some may have been lost elsewhere."""
    if before is None or before.counter is None or row[_COUNTER] <= before.counter or row[_LOST] is not None:
        return None
    if any(before.time < restart <= row[0] for restart in batch.restarts.get(row[1], ())):
        return None
    gap: float = row[_COUNTER] - before.counter - 1
    unbroken = batch.unbroken_since is not None and before.received_at >= batch.unbroken_since
    return gap if gap == 0 or unbroken else None


async def repair(connection: Connection, late: list[tuple[int, datetime]]) -> None:
    """Count again around frames that came late."""
    devices, times = zip(*late, strict=True)
    await connection.execute(_REPAIR, devices, times)


async def begin_anew(connection: Connection, batch: Batch) -> None:
    """Remember joins, so that the next frame is not compared with those of the run before."""
    await connection.executemany(
        f"UPDATE usp.{DATASET}_latest SET frame_counter = NULL, frame_counter_time = $2 "
        "WHERE device = $1 AND frame_counter_time < $2",
        sorted((device, max(times)) for device, times in batch.restarts.items()),
    )
