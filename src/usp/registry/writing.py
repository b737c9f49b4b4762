"""One change of the registry at a time, which may be undone as a whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from usp.db import Connection

#: Advisory lock: whoever changes the registry has read what is there, and nobody else may change it meanwhile.
_LOCK = 0x7573700001


class Undo:
    """Says whether what was done shall stay."""

    def __init__(self) -> None:
        self.wanted = False

    def undo(self) -> None:
        """Let nothing of it stay."""
        self.wanted = True


@asynccontextmanager
async def registry_transaction(connection: Connection) -> AsyncIterator[Undo]:
    """A transaction that ends with a rollback if that is asked for, or if an error leaves the block."""
    undo = Undo()
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        yield undo
    except BaseException:
        await transaction.rollback()
        raise
    if undo.wanted:
        await transaction.rollback()
    else:
        await transaction.commit()
