"""Which devices are silent, and where they stand: for whoever drives there."""

from datetime import UTC, datetime
from typing import Any

import asyncpg

from usp.api import values
from usp.api.figures import HEARD
from usp.api.paging import DEFAULT_LIMIT, MAX_LIMIT, not_ours, parse_rejection_cursor, rejection_cursor
from usp.api.params import Texts
from usp.db import Connection
from usp.models.device import KINDS

Document = dict[str, Any]
#: When the last one of a page was heard, and its number.
Mark = tuple[datetime, int]

#: PostgreSQL's integer.
_HIGHEST = 2**31 - 1
#: Stands for never: nothing is older.
_NEVER = datetime(1900, 1, 1, tzinfo=UTC)

# Those that fell silent last come first: they are news.
_SILENT = f"""
    {HEARD} SELECT h.id, coalesce(h.time, $1) AS heard, h.name AS device, nullif(h.title, '') AS title, h.kind,
        s.name AS site, nullif(s.title, '') AS site_title, coalesce(l.lon, s.lon) AS lon, coalesce(l.lat, s.lat) AS lat,
        h.interval, h.time AS last_time, round(extract(epoch FROM now() - h.time), 1)::float8 AS silent_for_s
    FROM heard h LEFT JOIN usp.placement l ON l.device = h.id AND l.valid @> now()
    LEFT JOIN usp.site s ON s.id = l.site
    WHERE NOT h.reporting AND ($2::text[] IS NULL OR h.kind = ANY($2))
        AND ($3::timestamptz IS NULL OR (coalesce(h.time, $1), -h.id) < ($3, -$4::int))
    ORDER BY 2 DESC, h.id LIMIT $5
"""


def kinds_of(texts: Texts) -> tuple[str, ...] | None:
    """The kinds asked for; None for all."""
    return values.known_words("kind", texts["kind"], KINDS) if "kind" in texts else None


def rows_of(texts: Texts) -> int:
    """How many are wanted on a page."""
    why = f"from 1 to {MAX_LIMIT} make a page, and `next` leads on"
    return values.whole("limit", texts.get("limit", str(DEFAULT_LIMIT)), MAX_LIMIT, why)


def after(texts: Texts) -> Mark | None:
    """Where the page before ended."""
    if "cursor" not in texts:
        return None
    heard, number = parse_rejection_cursor(texts["cursor"])
    if not 0 < number <= _HIGHEST:
        raise not_ours()
    return heard, number


async def listed(
    connection: Connection, kinds: tuple[str, ...] | None, limit: int, mark: Mark | None
) -> tuple[list[Document], str | None]:
    """Silent devices, those heard last first and those never heard last; and the cursor after them if there are more.

    What is not known is left out. A device is silent as the health figures say, whoever may see it.
    """
    records = await connection.fetch(_SILENT, _NEVER, kinds, *(mark or (None, None)), limit + 1)
    page = records[:limit]
    more = rejection_cursor(page[-1]["heard"], page[-1]["id"]) if len(records) > limit else None
    return [_device(record) for record in page], more


def _device(record: asyncpg.Record) -> Document:
    return {name: value for name, value in record.items() if name not in {"id", "heard"} and value is not None}
