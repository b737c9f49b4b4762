"""Rejections on their way into the database: kept whole up to a limit, counted always, and resolved by a replay."""

import hashlib
from typing import Any

from usp.db import Connection
from usp.ingest.batch import RAW_LIMIT, Item, Rejection
from usp.ingest.settled import Settled, Taken
from usp.models.reasons import Reason

#: Rejections kept whole for each address and reason; more of those that wait until somebody teaches the platform.
KEPT = 1_000
KEPT_WAITING = 10_000
_WAITING = frozenset((
    Reason.UNKNOWN_DEVICE, Reason.NO_PROFILE, Reason.NO_CODEC, Reason.CODEC_FAILED, Reason.CODEC_LIMIT,
    Reason.CODEC_TRIPPED,
))  # fmt: skip

_REJECTION_COLUMNS = (
    "received_at", "door", "topic", "address", "device", "dataset", "field", "reason", "detail",
    "whole_item", "payload", "payload_length", "payload_sha256",
)  # fmt: skip


async def write_rejections(connection: Connection, rejections: list[Rejection]) -> None:
    """Keep them whole up to a limit for each address and reason, and count them all."""
    # What is refused again stands there already.
    rejections = [rejection for rejection in rejections if not rejection.is_known]
    if not rejections:
        return
    groups: dict[tuple[str, str, str], list[Rejection]] = {}
    for rejection in rejections:
        key = (rejection.item.door, _address(rejection.item), rejection.refusal.reason.value)
        groups.setdefault(key, []).append(rejection)
    keys = sorted(groups)
    doors, addresses, reasons = zip(*keys, strict=True)
    standing = await connection.fetch(
        """
        SELECT door, address, reason, kept - freed AS kept FROM usp.rejection_tally
        WHERE (door, address, reason) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
        ORDER BY door, address, reason FOR UPDATE
        """,
        doors, addresses, reasons,
    )  # fmt: skip
    kept = {(r["door"], r["address"], r["reason"]): r["kept"] for r in standing}
    records, tallies = [], []
    for key in keys:
        limit = KEPT_WAITING if key[2] in _WAITING else KEPT
        keep = groups[key][: max(0, limit - kept.get(key, 0))]
        records += [_rejection_record(r) for r in keep]
        received = [r.item.received_at for r in groups[key]]
        tallies.append((*key, len(keep), len(groups[key]), min(received), max(received)))
    if records:
        await connection.copy_records_to_table(
            "rejection", schema_name="usp", records=records, columns=_REJECTION_COLUMNS
        )
    await connection.executemany(
        """
        INSERT INTO usp.rejection_tally AS t (door, address, reason, kept, total, first_at, last_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (door, address, reason) DO UPDATE SET kept = t.kept + excluded.kept,
            total = t.total + excluded.total, first_at = least(t.first_at, excluded.first_at),
            last_at = greatest(t.last_at, excluded.last_at)
        """,
        tallies,
    )


async def resolve(connection: Connection, settled: Settled) -> None:
    """Say of each rejection taken up again that it is resolved, or why it is refused today."""
    replayed = settled.replayed()
    if not replayed:
        return
    taken = [(number, *_why(taken)) for number, taken in sorted(replayed.items())]
    await connection.execute(
        """
        WITH gone AS (
            SELECT r.door, r.address, r.reason, count(*) AS count
            FROM unnest($1::bigint[], $2::text[]) AS k (id, reason) JOIN usp.rejection r USING (id)
            WHERE r.resolved_at IS NULL AND k.reason IS DISTINCT FROM r.reason GROUP BY 1, 2, 3
        )
        UPDATE usp.rejection_tally t SET freed = least(t.kept, t.freed + g.count)
        FROM gone g WHERE (t.door, t.address, t.reason) = (g.door, g.address, g.reason)
        """,
        [number for number, *_ in taken], [reason for _, reason, *_ in taken],
    )  # fmt: skip
    # A refused value remains the one that it was, whatever keeps the whole item out today.
    await connection.execute(
        """
        UPDATE usp.rejection r SET replayed_at = now(), resolved_at = CASE WHEN k.reason IS NULL THEN now() END,
            reason = coalesce(k.reason, r.reason), detail = coalesce(k.detail, r.detail),
            field = CASE WHEN r.whole_item THEN coalesce(k.field, r.field) ELSE r.field END,
            dataset = CASE WHEN r.whole_item THEN coalesce(k.dataset, r.dataset) ELSE r.dataset END,
            device = coalesce(k.device, r.device)
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[])
            AS k (id, reason, detail, field, dataset, device)
        WHERE r.id = k.id AND r.resolved_at IS NULL
        """,
        *map(list, zip(*taken, strict=True)),
    )


def as_text(text: str) -> str:
    """Text as PostgreSQL can keep it: it refuses NUL characters in any text."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _address(item: Item) -> str:
    """An address as far as an index can hold it; a topic may have 65,535 bytes."""
    return as_text(item.address)[:200]


def _why(taken: Taken) -> tuple[Any, ...]:
    if taken.refusal is None:
        return (None, None, None, None, taken.device)
    reason, detail, field, dataset = taken.refusal
    return reason.value, as_text(detail), as_text(field), dataset, taken.device


def _rejection_record(rejection: Rejection) -> tuple[Any, ...]:
    item, refusal, whole_item = rejection
    payload = item.payload()
    small = len(payload) <= RAW_LIMIT
    return (
        item.received_at, item.door, as_text(item.topic)[:1000], _address(item), item.device, refusal.dataset,
        as_text(refusal.field), refusal.reason.value, as_text(refusal.detail), whole_item,
        payload if small else None, len(payload), None if small else hashlib.sha256(payload).digest(),
    )  # fmt: skip
