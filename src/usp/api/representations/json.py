"""JSON: pages of rows without nulls, and the address of the next page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from usp.api.database import Database
from usp.api.selection import TIME_AS_TEXT, ColumnType, Selection

#: Rows encoded in one go; other requests have their turn in between.
_ROWS_AT_ONCE = 1_000


class JSON:
    """`{"data": […], "next": url or null}`."""

    name = "json"
    media_type = "application/json"
    content_type = "application/json"
    paged = True
    spatial = False

    async def chunks(
        self, selection: Selection, database: Database, link: Callable[[str], str]
    ) -> AsyncIterator[bytes]:
        """Fetch the page and one row more, which tells whether there is a next page."""
        sql = selection.rendered({ColumnType.TIME: TIME_AS_TEXT})
        ahead = None if selection.limit is None else selection.limit + 1
        async with database.connection() as connection:
            records = await connection.fetch(sql, *selection.values, ahead)
        more = len(records) == ahead
        if more:
            records.pop()
        lists = [c.name for c in selection.columns if c.type is ColumnType.LIST]
        yield b'{"data":['
        for start in range(0, len(records), _ROWS_AT_ONCE):
            rows = [_row(record, lists) for record in records[start : start + _ROWS_AT_ONCE]]
            yield (b"," if start else b"") + orjson.dumps(rows)[1:-1]
            await asyncio.sleep(0)
        onward = link(selection.cursor(records[-1])) if more else None
        yield b'],"next":' + orjson.dumps(onward) + b"}"


def _row(record: Any, lists: list[str]) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if value is not None}
    for name in lists:
        row[name] = row[name].split(";") if name in row else []
    return row


def document(content: Any) -> bytes:
    """A single document, in the same dialect."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)
