"""What was sent against what is stored: every row, every newest value, every refusal and every count.

    accounts = await reconcile(connection, Path("manifest.jsonl"), exact=True)
    assert not accounts.differences

The manifest goes into temporary tables of the platform's own database, which compares there, so that a million items
need little memory. What becomes of rows that meet is worked out anew from the contract: the first value of a device, a
time and a property stands. Columns and types are read from the database's catalogue.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from usp.db import Connection
from usp_simulators.comparison import COUNT_LOST, LOST, OUTCOMES, Table
from usp_simulators.manifest import read_manifest

#: Rejections of an address and reason that are kept whole.
KEPT = 1_000
#: Rows that are copied in one piece, over all tables.
PIECE = 20_000
#: Differences of one kind that are told.
EXAMPLES = 5
#: More different unknown fields than these may come in one batch, and then not all of them are taken note of.
NOTED = 1_000
#: The temporary tables beside those of the datasets.
_LISTS = ("refusal", "raw", "restart")


@dataclass
class Accounts:
    """The balance. `lost` counts expected rows and expected refusals that are nowhere."""

    items: int = 0
    rows: int = 0
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    perhaps_late: int = 0
    lost: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def differ(self, what: str, count: int, examples: Iterable[Any] = ()) -> None:
        """Write down a difference, if there is one."""
        if count:
            shown = "; ".join(str(tuple(example)) for example in examples)
            self.differences.append(f"{what}: {count}. {shown}")


async def reconcile(db: Connection, manifest: Path, *, exact: bool) -> Accounts:
    """Compare a manifest with everything the platform keeps.

    exact: nothing was delivered twice by the broker, so that all counts are equal. Where something died, items may have
    been received again: counts of duplicates and refusals are then at least those expected, and `stored` still equal.
    """
    accounts = Accounts()
    transaction = db.transaction()
    await transaction.start()
    try:
        tables = [await _table(db, name) for name in await _datasets(db)]
        counted = await _load(db, manifest, tables, accounts)
        for table in tables:
            await _compare_rows(db, table, accounts)
            await _compare_latest(db, table, accounts)
        await db.execute("ANALYZE told")
        await db.execute(OUTCOMES)
        await _compare_counts(db, counted.events, accounts, exact=exact)
        await _compare_rejections(db, accounts, exact=exact)
        await _compare_unmapped(db, counted.unmapped, accounts, exact=exact)
    finally:
        # The temporary tables go with it.
        await transaction.rollback()
    return accounts


async def _datasets(db: Connection) -> list[str]:
    records = await db.fetch(
        "SELECT hypertable_name FROM timescaledb_information.hypertables "
        r"WHERE hypertable_schema = 'usp' AND hypertable_name NOT LIKE '%\_hourly' ORDER BY 1"
    )
    return [record[0] for record in records]


async def _table(db: Connection, dataset: str) -> Table:
    """The properties stand between the key and what the platform adds to a row."""
    records = await db.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'usp' AND table_name = $1 ORDER BY ordinal_position",
        dataset,
    )
    names = [record[0] for record in records]
    around = {"time", "device", "period", "flagged", "flags", "received_at"}
    table = Table(dataset, tuple(name for name in names if name not in around), interval="period" in names)
    await db.execute(table.create)
    return table


@dataclass
class _Counted:
    """What is only counted: fields that no profile knows, by device, and events by kind."""

    unmapped: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


async def _load(db: Connection, manifest: Path, tables: list[Table], accounts: Accounts) -> _Counted:
    """Bring the manifest into the temporary tables; returns what is only counted."""
    await db.execute(
        "CREATE TEMP TABLE refusal (item bigint, address text, reason text, field text, whole boolean) ON COMMIT DROP;"
        "CREATE TEMP TABLE raw (item bigint, address text, payload text) ON COMMIT DROP;"
        "CREATE TEMP TABLE told (item bigint, fills boolean, conflicts text[]) ON COMMIT DROP;"
        "CREATE TEMP TABLE restart (device integer, time timestamptz) ON COMMIT DROP"
    )
    devices = {record["name"]: record["id"] for record in await db.fetch("SELECT id, name FROM usp.device")}
    known = {table.dataset: table for table in tables}
    pending: dict[str, list[tuple[Any, ...]]] = {name: [] for name in (*_LISTS, *known)}
    counted = _Counted()
    waiting = 0
    for number, line in enumerate(read_manifest(manifest), start=1):
        device = line["device"]
        address = line.get("address", device)
        if "event" in line:
            counted.events[line["event"]] += 1
            if "restart" in line:
                pending["restart"].append((devices[device], datetime.fromisoformat(line["restart"])))
            continue
        for row in line["rows"]:
            pending[row["dataset"]].append(known[row["dataset"]].record(number, line["late"], devices[device], row))
        if "reason" in line:
            pending["refusal"].append((number, address, line["reason"], line["field"], True))
        pending["refusal"] += [(number, address, reason, name, False) for name, reason in line.get("refused", ())]
        if "payload" in line:
            pending["raw"].append((number, address, line["payload"]))
        counted.unmapped.update((device, name) for name in line.get("unmapped", ()))
        accounts.items += 1
        accounts.rows += len(line["rows"])
        accounts.perhaps_late += line["late"] > 1
        waiting += 1 + len(line["rows"])
        if waiting > PIECE:
            await _copy(db, pending)
            waiting = 0
    await _copy(db, pending)
    return counted


async def _copy(db: Connection, pending: dict[str, list[tuple[Any, ...]]]) -> None:
    for name, records in pending.items():
        if records:
            await db.copy_records_to_table(
                name if name in _LISTS else f"sent_{name}", records=records, schema_name="pg_temp"
            )
            records.clear()


async def _compare_rows(db: Connection, table: Table, accounts: Accounts) -> None:
    """Every row of the hypertable, and what each part of a row brought."""
    await db.execute(table.put_together)
    await db.execute(f"ANALYZE won_{table.dataset}")
    if LOST in table.properties:
        await db.execute(COUNT_LOST)
    for what, condition in table.differences.items():
        count, examples = await _examples(db, table.joined(condition))
        accounts.differ(f"{table.dataset}: {what}", count, examples)
        if what == "missing":
            accounts.lost += count
    await db.execute(table.tell)


async def _compare_latest(db: Connection, table: Table, accounts: Accounts) -> None:
    """The newest value of each property of each device, with its time, flags and period."""
    expected = [dict(record) for record in await db.fetch(table.newest)]
    if LOST in table.properties:
        await _forget_counters(db, expected)
    found = {record["device"]: record for record in await db.fetch(f"SELECT * FROM usp.{table.dataset}_latest")}
    wrong = [(record["device"], *parts) for record in expected for parts in table.newest_wrong(record, found)]
    accounts.differ(f"{table.dataset}: newest values", len(wrong), wrong[:EXAMPLES])
    strangers = found.keys() - {record["device"] for record in expected}
    accounts.differ(f"{table.dataset}: newest values of others", len(strangers), [sorted(strangers)])


async def _forget_counters(db: Connection, expected: list[dict[str, Any]]) -> None:
    """A device that has joined and not spoken since has no newest frame counter."""
    joined = {
        r["device"]: r["time"] for r in await db.fetch("SELECT device, max(time) AS time FROM restart GROUP BY 1")
    }
    for record in expected:
        time, last = joined.get(record["device"]), record["frame_counter_time"]
        if time is not None and last is not None and time > last:
            record |= {"frame_counter": None, "frame_counter_time": time}


async def _examples(db: Connection, query: str) -> tuple[int, list[Any]]:
    records = await db.fetch(f"SELECT count(*) OVER () AS n, q.* FROM ({query}) q LIMIT {EXAMPLES}")
    return (records[0]["n"], [tuple(record)[1:] for record in records]) if records else (0, [])


async def _compare_counts(db: Connection, events: Counter[str], accounts: Accounts, *, exact: bool) -> None:
    """Outcomes and reasons, over all workers."""
    query = "SELECT what, reason, sum(count)::bigint AS n FROM usp.ingest_total WHERE dataset = '' GROUP BY 1, 2"
    found = {(r["what"], r["reason"]): r["n"] for r in await db.fetch(query)}
    expected = {(r["what"], r["reason"]): r["n"] for r in await db.fetch("SELECT * FROM expected_count")}
    expected["received", ""] = accounts.items
    expected |= {("event", kind): count for kind, count in events.items()}
    for key in sorted(expected.keys() | found.keys()):
        wanted, got = expected.get(key, 0), found.get(key, 0)
        equal = exact or key[0] == "stored" or not wanted
        if got != wanted if equal else got < wanted:
            accounts.differences.append(f"{' '.join(key)}: {got}, expected {'' if equal else 'at least '}{wanted}.")
    totals = Counter(received=0, stored=0, duplicate=0, rejected=0)
    for (what, reason), count in found.items():
        totals[what] += count
        if what == "rejected":
            accounts.reasons[reason] = count
    accounts.received, accounts.stored = totals["received"], totals["stored"]
    accounts.duplicate, accounts.rejected = totals["duplicate"], totals["rejected"]
    if accounts.received != accounts.stored + accounts.duplicate + accounts.rejected:
        accounts.differences.append(f"The sum does not hold: {totals}.")


async def _compare_rejections(db: Connection, accounts: Accounts, *, exact: bool) -> None:
    """Each refused item stands with address, reason, field and bytes; the tallies count all of them.

    What is refused in part is refused whole when it comes again: the rest is stored already.
    """
    columns = "address, reason, field, payload" + (", whole" if exact else "")
    every = "ALL" if exact else ""
    found = (
        "SELECT address, reason, field, md5(payload) AS payload, whole_item AS whole FROM usp.rejection "
        "WHERE (address, reason) IN (SELECT address, reason FROM expected_rejection)"
    )
    crowded = f"SELECT address, reason FROM usp.rejection_tally WHERE total > {KEPT}"
    missing = (
        f"SELECT {columns} FROM expected_rejection WHERE (address, reason) NOT IN ({crowded}) "
        f"EXCEPT {every} SELECT {columns} FROM ({found}) f"
    )
    count, examples = await _examples(db, missing)
    accounts.differ("rejections missing", count, examples)
    accounts.lost += count
    every_found = found[: found.index(" WHERE")]
    extra = f"SELECT {columns} FROM ({every_found}) f EXCEPT {every} SELECT {columns} FROM expected_rejection"
    accounts.differ("rejections of what was not sent so", *await _examples(db, extra))
    tallies = f"""
        SELECT address, reason, e.n AS expected, t.total, t.kept FROM
            (SELECT address, reason, count(*) AS n FROM expected_rejection GROUP BY 1, 2) e
        FULL JOIN usp.rejection_tally t USING (address, reason)
        WHERE e.n IS NULL OR t.total IS NULL OR t.total {"<>" if exact else "<"} e.n
            OR t.kept <> (SELECT count(*) FROM usp.rejection r WHERE (r.address, r.reason) = (t.address, t.reason))
    """
    accounts.differ("tallies of rejections", *await _examples(db, tallies))


async def _compare_unmapped(
    db: Connection, expected: Counter[tuple[str, str]], accounts: Accounts, *, exact: bool
) -> None:
    """Fields that no profile knows, with how often they came; where they are many, at most so often."""
    query = "SELECT d.name, u.field, u.count FROM usp.unmapped_field u JOIN usp.device d ON d.id = u.device"
    found = {(r["name"], r["field"]): r["count"] for r in await db.fetch(query)}
    wrong = [
        (*key, found.get(key, 0), count)
        for key, count in expected.items()
        if (found.get(key, 0) != count if exact else found.get(key, 0) < count)
        and not (len(expected) > NOTED and found.get(key, 0) <= count)
    ]
    wrong += [(*key, found[key], 0) for key in found.keys() - expected.keys()]
    accounts.differ("unmapped fields", len(wrong), wrong[:EXAMPLES])
