"""Takes up what was rejected, once its cause is mended: the same bytes through today's pipeline.

A replay is a new receipt, at the door `replay`, with outcomes of its own. What is stored now, or stood there already,
is resolved; what is refused again stays, with today's reason. A second replay finds only what is left.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from usp.db import Connection
from usp.errors import UspError
from usp.ingest.batch import Replay
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import Codec, CodecRuntime
from usp.ingest.committer import Committer
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.session import REPLAY_SLOTS, NoSlot, Session
from usp.models.profile import DeviceProfile
from usp.models.rejection import RejectionFilter

#: Rejections taken up in one go: as many payloads of 64 KiB fit into the memory.
PIECE = 500


class ReplayRuns(UspError):
    """Another replay is under way; wait until it has ended."""


@dataclass
class Progress:
    """What has become of the rejections so far. `refused` counts those that stay, by today's reason."""

    chosen: int
    taken: int = 0
    resolved: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class _Message(NamedTuple):
    topic: str
    payload: bytes
    received_at: datetime
    replay: Replay


class Replayer:
    """Replays rejections over a database session of its own."""

    def __init__(self, database_url: str, profiles: Mapping[str, DeviceProfile], codecs: Mapping[str, Codec]) -> None:
        self._url = database_url
        self._profiles = profiles
        self._codecs = codecs

    async def replay(self, chosen: RejectionFilter) -> AsyncIterator[Progress]:
        """Take up the open rejections that match, oldest first; yields after each piece. Raises ReplayRuns."""
        session = Session(self._url, slots=REPLAY_SLOTS)
        runtime = CodecRuntime()
        committer = Committer(session, asyncio.Event())
        try:
            try:
                connection, _ = await session.ready()
            except NoSlot:
                raise ReplayRuns from None
            await publish_profiles(connection, self._profiles)
            registry = Registry(self._profiles, self._codecs)
            await registry.refresh(connection)
            pipeline = Pipeline(BRIDGES, registry, runtime)
            last, newest, count = await _extent(connection, chosen)
            progress = Progress(count)
            yield progress
            while progress.taken < count:
                connection, _ = await session.ready()
                messages = await _piece(connection, chosen, last, newest)
                if not messages:
                    break
                await _take(pipeline, committer, messages)
                last = messages[-1].replay.rejection
                connection, _ = await session.ready()
                await _count(connection, [m.replay.rejection for m in messages], progress)
                yield progress
        finally:
            await runtime.close()
            await session.leave()


async def _take(pipeline: Pipeline, committer: Committer, messages: list[_Message]) -> None:
    while messages:
        batch, count = await pipeline.next_batch(messages)
        await committer.commit(batch)
        messages = messages[count:]


async def _extent(connection: Connection, chosen: RejectionFilter) -> tuple[int, int, int]:
    """(id before the first, id of the last, how many); what is rejected from now on is not among them."""
    where, values = _where(chosen)
    query = f"SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0), count(*) FROM usp.rejection WHERE {where}"
    first, newest, count = await connection.fetchrow(query, *values) or (0, 0, 0)
    return first, newest, count


async def _piece(connection: Connection, chosen: RejectionFilter, last: int, newest: int) -> list[_Message]:
    where, values = _where(chosen)
    records = await connection.fetch(
        f"SELECT id, topic, payload, received_at, whole_item, field FROM usp.rejection WHERE {where} "
        f"AND id > ${len(values) + 1} AND id <= ${len(values) + 2} ORDER BY id LIMIT {PIECE}",
        *values,
        last,
        newest,
    )
    return [
        _Message(r["topic"], r["payload"], r["received_at"], Replay(r["id"], None if r["whole_item"] else r["field"]))
        for r in records
    ]


def _where(chosen: RejectionFilter) -> tuple[str, list[Any]]:
    """Open rejections whose bytes were kept; of others nothing can be taken up."""
    where, values = chosen.condition()
    return f"{where} AND resolved_at IS NULL AND payload IS NOT NULL", values


async def _count(connection: Connection, ids: list[int], progress: Progress) -> None:
    for reason, count in await connection.fetch(
        "SELECT CASE WHEN resolved_at IS NULL THEN reason END, count(*) FROM usp.rejection "
        "WHERE id = ANY($1) GROUP BY 1",
        ids,
    ):
        if reason is None:
            progress.resolved += count
        else:
            progress.refused[reason] += count
    progress.taken += len(ids)
