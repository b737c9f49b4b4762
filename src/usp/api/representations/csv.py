"""CSV: everything, as PostgreSQL writes it, in a stream."""

from collections.abc import AsyncIterator, Callable

from usp.api.database import Database
from usp.api.representations.copying import Copy
from usp.api.selection import TIME_AS_TEXT, Column, ColumnType, Selection

#: Spreadsheets take a text that begins so for a formula and run it (CWE-1236); after an apostrophe they show it.
_NO_FORMULA = r"CASE WHEN {0} ~ '^[-=+@\t\r\n]' THEN '''' || {0} ELSE {0} END"


class CSV:
    """RFC 4180 with a header line, but lines end with LF; lists are joined by ';', what is not there is empty.

    Free text that begins with `=`, `+`, `-`, `@` or white space follows an apostrophe; numbers are never touched.
    There is no byte order mark: readings are ASCII, and programs would find the mark in the first header's name.
    """

    name = "csv"
    media_type = "text/csv"
    content_type = "text/csv; charset=utf-8; header=present"
    paged = False
    spatial = False

    def chunks(
        self,
        selection: Selection,
        database: Database,
        link: Callable[[str], str],  # noqa: ARG002 - CSV has no pages
    ) -> AsyncIterator[bytes]:
        """Copy out as it is."""
        return Copy(selection.written(_template), {"header": True}).chunks(selection, database)


def _template(column: Column) -> str:
    """How a column is written; `real` and `double precision` come as their shortest decimal already."""
    match column.type:
        case ColumnType.TIME:
            return TIME_AS_TEXT
        case ColumnType.BOOLEAN:
            return "{0}::text"
        case ColumnType.TEXT if not column.plain:
            return _NO_FORMULA
    return "{0}"
