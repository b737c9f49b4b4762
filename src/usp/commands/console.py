"""What commands have in common: the database they talk to, and how they tell what they found."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from usp.settings import Settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

DatabaseUrl = Annotated[str | None, typer.Option(help="Over USP_DATABASE_URL.", show_default=False)]

#: What is done with a connection.
Work = Callable[[Any], Awaitable[None]]


def with_connection(settings: Settings, run: Work) -> None:
    """Do something over a connection that may change the registry."""
    from usp.db import WRITER_ROLE, connect

    async def work() -> None:
        connection = await connect(settings.require_database(), role=WRITER_ROLE, application="usp-cli")
        try:
            await run(connection)
        finally:
            await connection.close()

    asyncio.run(work())


def print_table(settings: Settings, query: str, *args: object) -> None:
    """Print what a query finds."""

    async def run(connection: Any) -> None:
        statement = await connection.prepare(query)
        print_rows([a.name for a in statement.get_attributes()], await statement.fetch(*args))

    with_connection(settings, run)


def print_rows(header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table for people, tab-separated lines for programs."""
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    if not out.is_terminal:
        for line in (header, *texts):
            print("\t".join(line))  # noqa: T201 - Rich would turn tabs into spaces
        return
    table = Table(*header)
    for line in texts:
        table.add_row(*map(escape, line))
    out.print(table)


def say(text: str) -> None:
    """Print a sentence."""
    out.print(text, markup=False)


def plain(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
