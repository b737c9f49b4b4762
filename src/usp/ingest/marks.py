"""Marks: hours of devices that have been rolled up, or are about to be, and into which a batch has written."""

from usp.db import Connection
from usp.ingest.batch import Batch
from usp.models.edges import full_hour


async def mark(connection: Connection, batch: Batch) -> None:
    """Mark the hours of the batch's rows that lie before what is announced.

    Asked only after the rows were written: whoever announces more, and then waits for all transactions that have
    written, waits for this one too.
    """
    oldest = {name: min(row[0] for row in rows.rows) for name, rows in batch.rows.items() if rows.rows}
    announced = await connection.fetch("SELECT dataset, announced FROM usp.rollup WHERE dataset = ANY($1)", [*oldest])
    marks = [
        (name, device, hour)
        for name, limit in announced
        if oldest[name] < limit
        for device, hour in sorted({(row[1], full_hour(row[0])) for row in batch.rows[name].rows if row[0] < limit})
    ]
    if marks:
        await connection.copy_records_to_table(
            "rollup_mark", schema_name="usp", records=marks, columns=["dataset", "device", "hour"]
        )
