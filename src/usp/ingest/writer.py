"""A batch, one transaction: rows, newest values, rejections, counts. Whoever calls acknowledges afterwards."""

from collections import Counter
from datetime import UTC, datetime

import orjson

from usp.db import Connection, Verdict, verdict
from usp.ingest.batch import Batch, CountKey, Rows
from usp.ingest.days import count_days
from usp.ingest.followers import apply_followers
from usp.ingest.frames import DATASET as HEALTH
from usp.ingest.frames import begin_anew, count_lost, repair
from usp.ingest.latest import fold_latest
from usp.ingest.marks import mark
from usp.ingest.normalise import Row
from usp.ingest.rejections import as_text, resolve, write_rejections
from usp.ingest.settled import Settled
from usp.ingest.statements import DatasetStatements
from usp.models.datasets import DATASETS

#: Different unknown fields remembered for each device.
UNMAPPED_PER_DEVICE = 200


class Writer:
    """Writes batches over one connection, whose temporary tables it owns."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._statements = {name: DatasetStatements(dataset) for name, dataset in DATASETS.items()}

    async def prepare(self, connection: Connection) -> None:
        """Make the session's temporary tables."""
        for statements in self._statements.values():
            await connection.execute(statements.create_stages)

    async def commit(self, connection: Connection, batch: Batch) -> Counter[str]:
        """Write the whole batch or nothing; returns how many items and values were refused, by reason.

        What comes out of the database about it is added to fresh counts.
        """
        async with connection.transaction():
            settled = Settled(batch)
            for dataset in sorted(batch.rows):
                await self._write_dataset(connection, dataset, batch, settled)
            if batch.restarts:
                await begin_anew(connection, batch)
            await mark(connection, batch)
            settled.close()
            await resolve(connection, settled)
            await write_rejections(connection, [*batch.rejections, *settled.rejections])
            await self._write_unmapped(connection, batch)
            await count_days(connection, settled)
            await self._write_counts(connection, batch.counts + settled.counts)
            await connection.execute(
                "INSERT INTO usp.batch (slot, token) VALUES ($1, $2) "
                "ON CONFLICT (slot) DO UPDATE SET token = excluded.token",
                self._slot,
                batch.token,
            )
        return Counter(r.refusal.reason.value for r in (*batch.rejections, *settled.rejections))

    async def probe(self, connection: Connection, batch: Batch, dataset: str) -> Exception | None:
        """Why the database will never take the batch's rows of one dataset; nothing of them stays."""
        transaction = connection.transaction()
        await transaction.start()
        try:
            await self._write_dataset(connection, dataset, batch, Settled(batch))
        except Exception as error:
            if verdict(error) is not Verdict.POISON:
                raise
            return error
        finally:
            await transaction.rollback()
        return None

    async def has_committed(self, connection: Connection, batch: Batch) -> bool:
        """Whether this is the batch that this slot committed last; asked where the answer to a commit was lost."""
        token = await connection.fetchval("SELECT token FROM usp.batch WHERE slot = $1", self._slot)
        return bool(token == batch.token)

    async def _write_dataset(self, connection: Connection, dataset: str, batch: Batch, settled: Settled) -> None:
        rows = batch.rows[dataset]
        late: list[tuple[int, datetime]] = []
        if dataset == HEALTH:
            rows, late = await count_lost(connection, batch, rows)
        await self._write_rows(connection, self._statements[dataset], rows, settled)
        if late:
            await repair(connection, late)

    async def _write_rows(
        self, connection: Connection, statements: DatasetStatements, rows: Rows, settled: Settled
    ) -> None:
        await connection.copy_records_to_table(statements.stage, records=rows.rows, columns=statements.columns)
        inserted = int((await connection.execute(statements.insert)).rpartition(" ")[2])
        kept = rows.rows
        if inserted < len(rows.rows):
            kept = await self._settle_known(connection, statements, rows, settled)
        if rows.followers:
            kept = kept + await self._write_followers(connection, statements, rows, settled)
        settled.written(statements.dataset.name, rows.rows, inserted)
        folded = fold_latest(statements.dataset, [row for row in kept if row[-1]])
        if folded:
            await connection.copy_records_to_table(
                statements.latest_stage, records=folded, columns=statements.latest_columns
            )
            await connection.execute(statements.upsert_latest)

    @staticmethod
    async def _settle_known(
        connection: Connection, statements: DatasetStatements, rows: Rows, settled: Settled
    ) -> list[Row]:
        """Rows whose key was there already: complete, recognise, or keep out. Returns what now stands."""
        window = _window(rows.rows)
        met = await connection.fetch(statements.compare, *window)
        if any(record["fills"] and record["same_period"] for record in met):
            await connection.execute(statements.complete, *window)
        kept = dict(enumerate(rows.rows))
        bits = statements.dataset.bit
        for record in met:
            number = rows.keys[record["device"], record["time"]]
            row, item = rows.rows[number], rows.items[number]
            if not record["same_period"]:
                settled.conflict(item, statements, row, ["period"], orjson.loads(record["standing"]))
                settled.nothing_new(item)
                del kept[number]
                continue
            if record["conflicts"]:
                names = [name for name, bit in bits.items() if record["conflicts"] & bit]
                settled.conflict(item, statements, row, names, orjson.loads(record["standing"]))
                kept[number] = [*row[:-1], row[-1] & ~record["conflicts"]]
            if not record["fills"]:
                settled.nothing_new(item)
        return list(kept.values())

    @staticmethod
    async def _write_followers(
        connection: Connection, statements: DatasetStatements, rows: Rows, settled: Settled
    ) -> list[Row]:
        """Rows that came, in the same batch, after another of their key. Returns what they have filled in."""
        keys = {(row[1], row[0]) for row, _ in rows.followers}
        records = await connection.fetch(
            statements.standing, [device for device, _ in keys], [time for _, time in keys]
        )
        standing = {(r["device"], r["time"]): dict(r) for r in records}
        fillers = apply_followers(statements, standing, rows.followers, settled)
        if fillers:
            await connection.execute(f"DELETE FROM {statements.stage}")
            await connection.copy_records_to_table(statements.stage, records=fillers, columns=statements.columns)
            await connection.execute(statements.complete, *_window(fillers))
        return fillers

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
                last_value = CASE WHEN excluded.last_at < u.last_at THEN u.last_value ELSE excluded.last_value END,
                last_at = greatest(u.last_at, excluded.last_at)
            """,
            [
                (device, as_text(name)[:200], count, value, at,
                 UNMAPPED_PER_DEVICE)
                for (device, name), (count, value, at) in sorted(batch.unmapped.items())
            ],
        )  # fmt: skip

    async def _write_counts(self, connection: Connection, counts: Counter[CountKey]) -> None:
        listed = sorted((key, count) for key, count in counts.items() if count)
        lasting = [(key, count) for key, count in listed if key.what != "delay"]
        now = datetime.now(UTC)
        await _add_counts(connection, self._slot, lasting)
        await _add_counts(connection, self._slot, listed, now.replace(second=0, microsecond=0))


async def _add_counts(
    connection: Connection, slot: int, counts: list[tuple[CountKey, int]], minute: datetime | None = None
) -> None:
    if not counts:
        return
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


def _window(rows: list[Row]) -> tuple[datetime, datetime]:
    times = [row[0] for row in rows]
    return min(times), max(times)
