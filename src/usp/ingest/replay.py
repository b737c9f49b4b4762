"""Takes up what was rejected, once its cause is mended: the same bytes through today's pipeline.

A replay is a new receipt, at the door `replay`, with outcomes of its own. What is stored now, or stood there already,
is resolved; what is refused again stays, with today's reason. A second replay finds only what is left.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from usp.db import Connection
from usp.errors import ReplayRuns
from usp.ingest.batch import Batch, Replay
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import Codec, CodecRuntime
from usp.ingest.committer import Committer
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.retention import Horizon
from usp.ingest.session import REPLAY_SLOTS, NoSlot, Session
from usp.ingest.writer import Writer
from usp.models.profile import DeviceProfile
from usp.models.rejection import Progress, RejectionFilter, State
from usp.models.retention import Retention

__all__ = ["Progress", "ReplayRuns", "Replayer"]

#: Rejections taken up in one go: as many payloads of 64 KiB fit into the memory.
PIECE = 500
#: How often, and how many seconds apart, the place of a replay that was killed a moment ago is asked for.
ATTEMPTS, PAUSE_S = 8, 0.25


class _Message(NamedTuple):
    topic: str
    payload: bytes
    received_at: datetime
    replay: Replay


class _Rehearsal(Committer):
    """Writes batches, looks at what has become of the rejections in them, and takes everything back."""

    def __init__(self, session: Session, stopping: asyncio.Event) -> None:
        super().__init__(session, stopping)
        self.piece: list[int] = []
        self.outcomes: dict[int, str | None] = {}

    async def write(self, writer: Writer, connection: Connection, batch: Batch) -> None:
        """Write a batch, and nothing of it stays."""
        transaction = connection.transaction()
        await transaction.start()
        try:
            await writer.commit(connection, batch)
            self.outcomes |= await _outcomes(connection, self.piece, "AND replayed_at = now()")
        finally:
            await transaction.rollback()


class Replayer:
    """Replays rejections over a database session of its own."""

    def __init__(
        self,
        database_url: str,
        profiles: Mapping[str, DeviceProfile],
        codecs: Mapping[str, Codec],
        retention: Retention = MappingProxyType({}),
    ) -> None:
        self._url = database_url
        self._retention = retention
        self._profiles = profiles
        self._codecs = codecs

    async def replay(self, chosen: RejectionFilter, *, dry_run: bool = False) -> AsyncGenerator[Progress]:
        """Take up the open rejections that match, oldest first; yields at first and after each piece.

        Whoever stops in between loses nothing: what was taken is committed. A dry run writes nothing; each piece is
        tried against what stands today, not against the pieces before it. Raises ReplayRuns.
        """
        chosen = replace(chosen, state=State.OPEN)
        session = Session(self._url, slots=REPLAY_SLOTS)
        runtime = CodecRuntime()
        committer = (_Rehearsal if dry_run else Committer)(session, asyncio.Event())
        try:
            connection = await _begin(session)
            if not dry_run:
                await publish_profiles(connection, self._profiles)
            registry = Registry(self._profiles, self._codecs)
            await registry.refresh(connection)
            horizon = Horizon(self._retention)
            await horizon.read(connection)
            pipeline = Pipeline(BRIDGES, registry, runtime, horizon)
            last, newest, progress = await _extent(connection, chosen)
            yield progress
            while progress.taken < progress.chosen:
                connection, _ = await session.ready()
                messages = await _piece(connection, chosen, last, newest)
                if not messages:
                    break
                last = messages[-1].replay.rejection
                outcomes = await _take(pipeline, committer, session, messages)
                _count(progress, outcomes.values())
                yield progress
        finally:
            await runtime.close()
            await session.leave()


async def _begin(session: Session) -> Connection:
    """The session's connection. Raises ReplayRuns where another one has its place."""
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(PAUSE_S)
        try:
            connection, _ = await session.ready()
        except NoSlot:
            continue
        return connection
    raise ReplayRuns


async def _take(
    pipeline: Pipeline, committer: Committer, session: Session, messages: list[_Message]
) -> Mapping[int, str | None]:
    """Commit the messages; returns the reason of each rejection that stays, None of one that is resolved."""
    ids = [message.replay.rejection for message in messages]
    rehearsal = committer if isinstance(committer, _Rehearsal) else None
    if rehearsal is not None:
        rehearsal.piece, rehearsal.outcomes = ids, {}
    while messages:
        batch, count = await pipeline.next_batch(messages)
        await committer.commit(batch)
        messages = messages[count:]
    connection, _ = await session.ready()
    outcomes = await _outcomes(connection, ids)
    return outcomes if rehearsal is None else outcomes | rehearsal.outcomes


async def _extent(connection: Connection, chosen: RejectionFilter) -> tuple[int, int, Progress]:
    """(id before the first, id of the last, how many); what is rejected from now on is not among them."""
    where, values = chosen.condition()
    found = await connection.fetchrow(
        "SELECT coalesce(min(id), 1) - 1 AS first, coalesce(max(id), 0) AS last, count(payload) AS whole, "
        f"count(*) - count(payload) AS without_bytes FROM usp.rejection WHERE {where}",
        *values,
    )
    first, last, whole, without_bytes = found or (0, 0, 0, 0)
    return first, last, Progress(whole, without_bytes)


async def _piece(connection: Connection, chosen: RejectionFilter, last: int, newest: int) -> list[_Message]:
    """The next rejections whose bytes were kept; of others nothing can be taken up."""
    where, values = chosen.condition()
    records = await connection.fetch(
        f"SELECT id, topic, payload, received_at, whole_item, field, dataset FROM usp.rejection WHERE {where} "
        f"AND payload IS NOT NULL AND id > ${len(values) + 1} AND id <= ${len(values) + 2} ORDER BY id LIMIT {PIECE}",
        *values,
        last,
        newest,
    )
    return [_Message(r["topic"], r["payload"], r["received_at"], _replay(r)) for r in records]


def _replay(record: Any) -> Replay:
    return Replay(record["id"], None if record["whole_item"] else record["field"], record["dataset"])


async def _outcomes(connection: Connection, ids: list[int], which: str = "") -> dict[int, str | None]:
    """Why each rejection is still open, None where it is not."""
    query = "SELECT id, CASE WHEN resolved_at IS NULL THEN reason END FROM usp.rejection WHERE id = ANY($1) "
    return {record[0]: record[1] for record in await connection.fetch(query + which, ids)}


def _count(progress: Progress, outcomes: Iterable[str | None]) -> None:
    for reason in outcomes:
        progress.taken += 1
        if reason is None:
            progress.resolved += 1
        else:
            progress.refused[reason] += 1
