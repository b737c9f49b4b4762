"""NDJSON: everything, a row a line, each as in JSON, in a stream."""

from collections.abc import AsyncIterator, Callable

from usp.api.database import Database
from usp.api.representations.copying import Copy
from usp.api.representations.objects import row
from usp.api.selection import Selection

#: COPY quotes a text in which these or a line's end occur; JSON text has no control characters (RFC 8259, 7).
_NEVER_QUOTED = {"delimiter": "\x01", "quote": "\x02"}


class NDJSON:
    """One JSON object a line, without nulls; nothing but rows."""

    name = "ndjson"
    media_type = "application/x-ndjson"
    content_type = "application/x-ndjson"
    paged = False
    spatial = False

    def chunks(
        self,
        selection: Selection,
        database: Database,
        link: Callable[[str], str],  # noqa: ARG002 - NDJSON has no pages
    ) -> AsyncIterator[bytes]:
        """Copy out as it is."""
        return Copy(selection.lines(row(selection.columns)), _NEVER_QUOTED).chunks(selection, database)
