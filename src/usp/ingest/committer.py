"""Commits batches, whatever the database says: one table decides what is tried again and what is isolated."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from usp.db import LOST, Connection, Verdict, verdict
from usp.errors import UspError
from usp.ingest.batch import Batch
from usp.ingest.refusal import Refusal
from usp.ingest.session import Session
from usp.ingest.writer import Writer
from usp.models.reasons import Reason

log = structlog.get_logger()

COMMIT_TIMEOUT_S = 60.0
BACKOFF_S = (0.1, 5.0)
#: What is refused is logged at most so often, all of it together; every item of it is in `usp.rejection`.
TELL_S = 10.0


class Committer:
    """Writes over one session; ends its waiting when `stopping` is set, but never gives up a batch."""

    def __init__(self, session: Session, stopping: asyncio.Event) -> None:
        self._session = session
        self._stopping = stopping
        self._refused: Counter[str] = Counter()
        self._told_at = float("-inf")

    async def connect(self, needed: Callable[[], bool]) -> None:
        """Have a connection, and with it the slot, as long as that is needed."""
        wait = BACKOFF_S[0]
        while needed() and not self._stopping.is_set():
            try:
                await self._session.ready()
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                await self.after_failure(error, wait)
                wait = min(wait * 2, BACKOFF_S[1])
            else:
                return

    async def write(self, writer: Writer, connection: Connection, batch: Batch) -> None:
        """Write a batch once."""
        self._refused += await writer.commit(connection, batch)
        # A sender that errs does so a thousand times: one line tells of all.
        if self._refused and time.monotonic() - self._told_at >= TELL_S:
            log.warning("refused", count=self._refused.total(), reasons=dict(self._refused))
            self._refused.clear()
            self._told_at = time.monotonic()

    async def commit(self, batch: Batch) -> None:
        """However long the database is away; what it can never take is isolated and rejected."""
        with structlog.contextvars.bound_contextvars(batch=f"{batch.token:x}"):
            await self._commit(batch)

    async def _commit(self, batch: Batch) -> None:
        wait, unsure = BACKOFF_S[0], False
        while True:
            try:
                connection, writer = await self._session.ready()
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    if unsure and await writer.has_committed(connection, batch):
                        return
                    unsure = True
                    await self.write(writer, connection, batch)
            except Exception as error:  # noqa: BLE001 - the table of verdicts decides
                if verdict(error) is Verdict.POISON:
                    await self._isolate(batch, error)
                    return
                await self.after_failure(error, wait)
                wait = min(wait * 2, BACKOFF_S[1])
            else:
                return

    async def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the items, and the datasets of an item, that the database refuses; the others are stored."""
        if batch.items and not batch.is_one_item:
            for part in batch.split():
                await self.commit(part)
        elif batch.items:
            log.error("refused_by_database", topic=batch.items[0].topic, error=str(error))
            try:
                refused = await self._refused_datasets(batch)
            except LOST as lost:
                await self.after_failure(lost, BACKOFF_S[0])
                await self.commit(batch)
                return
            whole = Refusal(Reason.REFUSED_BY_DATABASE, str(error))
            await self.commit(batch.without(refused) if refused else batch.refused(whole))
        elif batch.rows:
            log.error("radio_data_refused_by_database", error=str(error))
            await self.commit(replace(batch, rows={}))
        else:
            # Not even the rejections can be written: at least they are counted.
            log.error("rejections_refused_by_database", count=len(batch.rejections), error=str(error))
            await self.commit(Batch(counts=batch.counts))

    async def _refused_datasets(self, batch: Batch) -> dict[str, Refusal]:
        """The datasets of which the database refuses the rows; empty where that cannot be told."""
        connection, writer = await self._session.ready()
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            errors = {dataset: await writer.probe(connection, batch, dataset) for dataset in batch.rows}
        return {
            dataset: Refusal(Reason.REFUSED_BY_DATABASE, str(error), dataset=dataset)
            for dataset, error in errors.items()
            if error is not None
        }

    async def after_failure(self, error: Exception, wait: float) -> None:
        """Wait before the next attempt, less where we are to stop. Raises what no further attempt will mend."""
        self._session.drop()
        if verdict(error) is Verdict.FATAL and not isinstance(error, UspError):
            raise error
        log.warning("database_unavailable", error=str(error) or repr(error), retry_in_s=wait)
        if self._stopping.is_set():
            await asyncio.sleep(min(wait, 0.5))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._stopping.wait()
