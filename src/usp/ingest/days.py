"""What each device sent twice, or in vain, day by day: for `/v1/devices/{device}/quality`."""

from usp.db import Connection
from usp.ingest.settled import Settled


async def count_days(connection: Connection, settled: Settled) -> None:
    """Add the batch's duplicate and rejected items to their devices' days of UTC; most batches have none."""
    duplicates, rejected = settled.duplicates, settled.rejected()
    keys = sorted(duplicates.keys() | rejected.keys())
    if not keys:
        return
    # In one order, so that two writers never wait for each other.
    await connection.execute(
        """
        INSERT INTO usp.device_day AS t (device, day, duplicate, rejected)
        SELECT * FROM unnest($1::integer[], $2::date[], $3::bigint[], $4::bigint[])
        ON CONFLICT (day, device) DO UPDATE SET duplicate = t.duplicate + excluded.duplicate,
            rejected = t.rejected + excluded.rejected
        """,
        [key.device for key in keys],
        [key.day for key in keys],
        [duplicates[key] for key in keys],
        [rejected[key] for key in keys],
    )
