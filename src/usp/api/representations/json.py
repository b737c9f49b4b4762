"""JSON: pages of rows without nulls, and the address of the next page."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from usp.api.database import Database
from usp.api.representations.objects import body, page, row
from usp.api.selection import Selection

#: What an answer of buckets was asked for; other answers have none of it.
_ASKED = ("from", "to", "bucket")


class JSON:
    """`{"data": […], "next": url or null}`; of buckets also `from`, `to` and `bucket`."""

    name = "json"
    media_type = "application/json"
    content_type = "application/json"
    paged = True
    spatial = False

    async def chunks(
        self, selection: Selection, database: Database, link: Callable[[str], str]
    ) -> AsyncIterator[bytes]:
        """Fetch the page; it is passed on as PostgreSQL wrote it."""
        found = await page(selection, database, row(selection.columns))
        onward = link(selection.cursor(found.last())) if found.more else None
        yield body({}, "data", found.lines, {"next": onward} | asked(selection.about))


def asked(about: Mapping[str, str]) -> dict[str, object]:
    """The window and the bucket of an answer, if it has any."""
    return {name: about[name] for name in _ASKED if name in about}


def document(content: Any) -> bytes:
    """A single document, in the same dialect."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)
