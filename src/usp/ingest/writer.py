"""A batch, one transaction: rows, newest values, rejections, counts. Whoever calls acknowledges afterwards."""

import hashlib
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from usp.db import Connection
from usp.ingest.batch import RAW_LIMIT, Batch, CountKey, Item, Rejection, Rows
from usp.ingest.latest import fold_latest
from usp.ingest.normalise import Row
from usp.ingest.refusal import Refusal, shown
from usp.ingest.statements import DatasetStatements
from usp.models.datasets import DATASETS
from usp.models.reasons import Reason

#: Upper bounds, in seconds, of the histogram of delays from measuring to commit.
DELAY_BOUNDS_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_DELAY_BOUNDS = [timedelta(seconds=s) for s in DELAY_BOUNDS_S]
_DELAY_NAMES = [*(f"{s:g}" for s in DELAY_BOUNDS_S), "inf"]

#: Rejections kept whole for each address and reason; of an unknown address more, since they wait for a replay.
KEPT = 1_000
KEPT_UNKNOWN = 10_000
#: Different unknown fields remembered for each device.
UNMAPPED_PER_DEVICE = 200

_REJECTION_COLUMNS = (
    "received_at", "door", "topic", "address", "device", "dataset", "field", "reason", "detail",
    "whole_item", "payload", "payload_length", "payload_sha256",
)  # fmt: skip


class Writer:
    """Writes batches over one connection, whose temporary tables it owns."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._statements = {name: DatasetStatements(dataset) for name, dataset in DATASETS.items()}

    async def prepare(self, connection: Connection) -> None:
        """Make the session's temporary tables."""
        for statements in self._statements.values():
            await connection.execute(statements.create_stages)

    async def commit(self, connection: Connection, batch: Batch) -> None:
        """Write the whole batch or nothing. What comes out of the database about it is added to fresh counts."""
        async with connection.transaction():
            settled = Settled(batch)
            for dataset in sorted(batch.rounds):
                for number, rows in enumerate(batch.rounds[dataset]):
                    await self._write_rows(connection, self._statements[dataset], rows, settled, again=number > 0)
            settled.close()
            await self._write_rejections(connection, [*batch.rejections, *settled.rejections])
            await self._write_unmapped(connection, batch)
            await self._write_counts(connection, batch.counts + settled.counts)

    async def _write_rows(
        self,
        connection: Connection,
        statements: DatasetStatements,
        rows: Rows,
        settled: "Settled",
        *,
        again: bool,
    ) -> None:
        if again:
            await connection.execute(f"DELETE FROM {statements.stage}")
            await connection.execute(f"DELETE FROM {statements.latest_stage}")
        await connection.copy_records_to_table(statements.stage, records=rows.rows, columns=statements.columns)
        inserted = int((await connection.execute(statements.insert)).rpartition(" ")[2])
        kept = rows.rows
        if inserted < len(rows.rows):
            kept = await self._settle_known(connection, statements, rows, settled, again=again)
        settled.written(statements.dataset.name, rows.rows, inserted)
        folded = fold_latest(statements.dataset, kept)
        if folded:
            await connection.copy_records_to_table(
                statements.latest_stage, records=folded, columns=statements.latest_columns
            )
            await connection.execute(statements.upsert_latest)

    @staticmethod
    async def _settle_known(
        connection: Connection, statements: DatasetStatements, rows: Rows, settled: "Settled", *, again: bool
    ) -> list[Row]:
        """Rows whose key was there already: complete, recognise, or keep out. Returns what now stands.

        `again`: all keys were met in an earlier round of the same batch, so that rows equal in every column,
        `received_at` included, are not the ones just inserted.
        """
        times = [row[0] for row in rows.rows]
        window = (min(times), max(times))
        met = await connection.fetch(statements.compare, *window)
        if any(record["fills"] and record["same_period"] for record in met):
            await connection.execute(statements.complete, *window)
        kept = dict(enumerate(rows.rows))
        equal = set(kept) if again else set()
        bits = statements.dataset.bit
        for record in met:
            number = rows.keys[record["device"], record["time"]]
            equal.discard(number)
            row, item = rows.rows[number], rows.items[number]
            if not record["same_period"]:
                settled.conflict(item, statements, row, ["period"], record["standing"])
                settled.nothing_new(item)
                del kept[number]
                continue
            if record["conflicts"]:
                names = [name for name, bit in bits.items() if record["conflicts"] & bit]
                settled.conflict(item, statements, row, names, record["standing"])
                kept[number] = [*row[:-1], row[-1] & ~record["conflicts"]]
            if not record["fills"]:
                settled.nothing_new(item)
        for number in equal:
            settled.nothing_new(rows.items[number])
        return list(kept.values())

    @staticmethod
    async def _write_rejections(connection: Connection, rejections: list[Rejection]) -> None:
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
            SELECT door, address, reason, kept FROM usp.rejection_tally
            WHERE (door, address, reason) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
            ORDER BY door, address, reason FOR UPDATE
            """,
            doors, addresses, reasons,
        )  # fmt: skip
        kept = {(r["door"], r["address"], r["reason"]): r["kept"] for r in standing}
        records, tallies = [], []
        for key in keys:
            limit = KEPT_UNKNOWN if key[2] == Reason.UNKNOWN_DEVICE else KEPT
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
                total = t.total + excluded.total, last_at = greatest(t.last_at, excluded.last_at)
            """,
            tallies,
        )

    @staticmethod
    async def _write_unmapped(connection: Connection, batch: Batch) -> None:
        if not batch.unmapped:
            return
        await connection.executemany(
            """
            INSERT INTO usp.unmapped_field AS u (device, field, count, last_value, last_at)
            SELECT $1::integer, $2::text, $3, $4, $5
            WHERE EXISTS (SELECT FROM usp.unmapped_field WHERE device = $1 AND field = $2)
                OR (SELECT count(*) FROM usp.unmapped_field WHERE device = $1) < $6
            ON CONFLICT (device, field) DO UPDATE SET count = u.count + excluded.count,
                last_value = excluded.last_value, last_at = excluded.last_at
            """,
            [
                (device, _text(name)[:200], count, _last_value(value), at,
                 UNMAPPED_PER_DEVICE)
                for (device, name), (count, value, at) in sorted(batch.unmapped.items())
            ],
        )  # fmt: skip

    async def _write_counts(self, connection: Connection, counts: Counter[CountKey]) -> None:
        listed = sorted((key, count) for key, count in counts.items() if count)
        if not listed:
            return
        lasting = [(key, count) for key, count in listed if key.what != "delay"]
        now = datetime.now(UTC)
        await _add_counts(connection, self._slot, lasting)
        await _add_counts(connection, self._slot, listed, now.replace(second=0, microsecond=0))


async def _add_counts(
    connection: Connection, slot: int, counts: list[tuple[CountKey, int]], minute: datetime | None = None
) -> None:
    table, lead, extra = ("ingest_total", "", "") if minute is None else ("ingest_minute", "minute, ", "$8, ")
    await connection.execute(
        f"""
        INSERT INTO usp.{table} AS t ({lead}slot, door, kind, dataset, what, reason, count)
        SELECT {extra}$1::smallint, c.*
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) AS c
        ON CONFLICT ({lead}slot, door, kind, dataset, what, reason) DO UPDATE SET count = t.count + excluded.count
        """,
        slot,
        *map(list, zip(*(key for key, _ in counts), strict=True)),
        [count for _, count in counts],
        *([] if minute is None else [minute]),
    )


class Settled:
    """What the database made of a batch: the outcome of each item, and what was kept out."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._not_new: Counter[int] = Counter()
        self._conflicts: dict[int, list[Refusal]] = {}
        self.rejections: list[Rejection] = []
        self.counts: Counter[CountKey] = Counter()

    def written(self, dataset: str, rows: list[Row], inserted: int) -> None:
        """Count the rows that are new, and how late all of them came."""
        self.counts[CountKey("", "", dataset, "rows", "")] += inserted
        now = datetime.now(UTC)
        delays = Counter(bisect_left(_DELAY_BOUNDS, now - row[0]) for row in rows)
        for bucket, count in delays.items():
            self.counts[CountKey("", "", dataset, "delay", _DELAY_NAMES[bucket])] += count

    def nothing_new(self, item: int) -> None:
        """A row of the item filled nothing that was empty."""
        self._not_new[item] += 1

    def conflict(self, item: int, statements: DatasetStatements, row: Row, names: list[str], standing: str) -> None:
        """Values of the row, or its period, contradict what stands."""
        stands = orjson.loads(standing)
        for name in names:
            offered = row[statements.columns.index(name)]
            detail = f"At {row[0].isoformat()} stands {shown(stands[name])}, got {shown(offered)}."
            refusal = Refusal(Reason.CONFLICTING_VALUE, detail, name, statements.dataset.name)
            self._conflicts.setdefault(item, []).append(refusal)

    def close(self) -> None:
        """Give each item its outcome: stored, where any of its rows is new or completed; duplicate; rejected."""
        batch = self._batch
        stored = Counter((item.door, item.kind) for item in batch.items)
        for (door, kind), count in stored.items():
            self.counts[CountKey(door, kind, "", "stored", "")] += count
        for number, count in self._not_new.items():
            if count < batch.row_counts[number]:
                continue
            item = batch.items[number]
            self.counts[CountKey(item.door, item.kind, "", "stored", "")] -= 1
            conflicts = self._conflicts.pop(number, None)
            if conflicts is None:
                self.counts[CountKey(item.door, item.kind, "", "duplicate", "")] += 1
            else:
                self._reject(item, conflicts[0], whole_item=True)
        for number, conflicts in self._conflicts.items():
            for refusal in conflicts:
                self._reject(batch.items[number], refusal, whole_item=False)

    def _reject(self, item: Item, refusal: Refusal, *, whole_item: bool) -> None:
        self.rejections.append(Rejection(item, refusal, whole_item))
        what = "rejected" if whole_item else "value_refused"
        self.counts[CountKey(item.door, item.kind, "", what, refusal.reason.value)] += 1


def _text(text: str) -> str:
    """Text as PostgreSQL can keep it: it refuses NUL characters in any text."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _last_value(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()[:200]
    except TypeError:
        return "nested too deep to be shown"


def _address(item: Item) -> str:
    """An address as far as an index can hold it; a topic may have 65,535 bytes."""
    return _text(item.address)[:200]


def _rejection_record(rejection: Rejection) -> tuple[Any, ...]:
    item, refusal, whole_item = rejection
    payload = item.payload()
    small = len(payload) <= RAW_LIMIT
    return (
        item.received_at, item.door, _text(item.topic), _address(item), item.device, refusal.dataset,
        _text(refusal.field), refusal.reason.value, _text(refusal.detail), whole_item,
        payload if small else None, len(payload), None if small else hashlib.sha256(payload).digest(),
    )  # fmt: skip


def unstorable(item: Item, error: Exception) -> Rejection:
    """The rejection of an item whose row the database refuses for a reason of its own."""
    return Rejection(item, Refusal(Reason.REFUSED_BY_DATABASE, _text(str(error))), whole_item=True)
