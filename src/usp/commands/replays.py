"""Replays with the profiles and codecs as they lie there now: what commands and the API have in common."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from usp.ingest.replay import Replayer
from usp.models.rejection import Progress, RejectionFilter
from usp.profiles import load_codecs, load_profiles
from usp.settings import Settings


class Replays:
    """Reads profiles and codecs anew for each replay, so that a mended one counts at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def replay(self, chosen: RejectionFilter, *, dry_run: bool) -> AsyncGenerator[Progress]:
        """Take up what was rejected. Raises ReplayRuns, and ProfileError where a profile is mistaken."""
        replayer = await asyncio.to_thread(self._replayer)
        async with aclosing(replayer.replay(chosen, dry_run=dry_run)) as steps:
            async for progress in steps:
                yield progress

    def _replayer(self) -> Replayer:
        profiles = load_profiles(self._settings.profiles_dir)
        codecs = load_codecs(profiles, self._settings.profiles_dir)
        return Replayer(self._settings.require_database(), profiles, codecs)
