"""Rows as JSON objects, written by PostgreSQL itself: in half the time of fetching values and encoding them here."""

from collections.abc import Iterable, Sequence

import orjson

from usp.api.database import Database
from usp.api.selection import TIME_AS_TEXT, TIME_TEXT, Column, ColumnType, Selection, identifier

#: PostgreSQL's functions take 100 arguments at most.
_ARGUMENTS = 90


def members(columns: Sequence[Column]) -> list[str]:
    """SQL expressions of `"name":value,…` as texts: without nulls, a list also where it is empty.

    The first column must not be NULL.
    """
    timed = any(column.name == "time" for column in columns)
    return [_member(column, "" if number == 0 else ",", timed=timed) for number, column in enumerate(columns)]


def row(columns: Sequence[Column]) -> str:
    """The SQL expression of a row as a JSON object."""
    return concatenated(["'{'", *members(columns), "'}'"])


def concatenated(parts: Sequence[str]) -> str:
    """The SQL expression of these texts one after the other, those that are NULL left out."""
    while len(parts) > _ARGUMENTS:
        groups = [parts[start : start + _ARGUMENTS] for start in range(0, len(parts), _ARGUMENTS)]
        parts = [f"concat({', '.join(group)})" for group in groups]
    return f"concat({', '.join(parts)})"


def _member(column: Column, comma: str, *, timed: bool) -> str:
    key, value = f'{comma}"{column.name}":', identifier(column.name)
    match column.type:
        case ColumnType.TIME:
            text = TIME_AS_TEXT.format(value)
            if timed:
                text = f"CASE WHEN {value} = time THEN {TIME_TEXT} ELSE {text} END"
            return f"""'{key}"' || {text} || '"'"""
        case ColumnType.LIST:
            return f"""'{key}[' || coalesce('"' || replace({value}, ';', '","') || '"', '') || ']'"""
        case ColumnType.TEXT if column.plain:
            return f"""'{key}"' || {value} || '"'"""
        case ColumnType.TEXT:
            return f"'{key}' || to_json({value})"
    # Numbers are finite, and their shortest decimal is what JSON takes; booleans are spelt alike.
    return f"'{key}' || {value}"


class Page:
    """So many rows as JSON text, and whether there are more."""

    def __init__(self, lines: list[str], *, more: bool) -> None:
        self.lines = lines
        self.more = more

    def last(self) -> object:
        """The last row, decoded."""
        return orjson.loads(self.lines[-1])


async def page(selection: Selection, database: Database, expression: str) -> Page:
    """Fetch the page and one row more, which tells whether there is a next page."""
    ahead = None if selection.limit is None else selection.limit + 1
    async with database.connection() as connection:
        statement = selection.lines(expression), *selection.values, ahead
        if selection.planner:
            async with connection.transaction(readonly=True):
                await connection.execute(selection.planner)
                records = await connection.fetch(*statement)
        else:
            records = await connection.fetch(*statement)
    lines = [record["line"] for record in records]
    more = len(lines) == ahead
    return Page(lines[:-1] if more else lines, more=more)


def body(before: dict[str, object], name: str, lines: Iterable[str], after: dict[str, object]) -> bytes:
    """A JSON object with an array of rows in its midst."""
    head, tail = (orjson.dumps(part)[1:-1] for part in (before, after))
    parts = [head, b'"%s":[%s]' % (name.encode(), ",".join(lines).encode()), tail]
    return b"{" + b",".join(part for part in parts if part) + b"}"
