"""Replays with the profiles and codecs as they lie there now: what commands and the API have in common."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from usp.ingest.replay import Replayer
from usp.models.rejection import Progress, RejectionFilter
from usp.models.retention import parse_retention
from usp.profiles import load_all
from usp.settings import Settings


def make_replayer(settings: Settings) -> Replayer:
    """One that knows what lies there now."""
    retention = parse_retention(settings.retention)
    return Replayer(settings.require_database(), *load_all(settings.profiles_dir), retention)


class Replays:
    """Reads profiles and codecs anew for each replay, so that a mended one counts at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def replay(self, chosen: RejectionFilter, *, dry_run: bool) -> AsyncGenerator[Progress]:
        """Take up what was rejected. Raises ReplayRuns, and ProfileError where a profile is mistaken."""
        replayer = await asyncio.to_thread(make_replayer, self._settings)
        async with aclosing(replayer.replay(chosen, dry_run=dry_run)) as steps:
            async for progress in steps:
                yield progress
