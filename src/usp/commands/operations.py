"""What the API passes on to whoever started it: it cannot know ingest, and these need it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from usp.approval import approve
from usp.candidates import candidates
from usp.commands.candidates import approval_object, as_object
from usp.commands.replays import Replays, make_replayer
from usp.db import WRITER_ROLE, Connection, connect
from usp.ingest.registry import publish_profiles
from usp.models.broker import parse_brokers
from usp.models.device import KINDS
from usp.profiles import load_all, load_profiles

#: One approval of an address at a time, whichever process it was asked of.
_ALONE = "SELECT pg_advisory_lock(hashtext('usp-approve'), hashtext($1))"
_SITES = "SELECT name AS site, title, lon, lat FROM usp.site ORDER BY name"


class Administration(Replays):
    """As the commands do it: over a connection for the one purpose, with profiles and codecs as they lie there now."""

    def brokers(self) -> list[str]:
        """Where the brokers are that ingest is told of as well, where both have the same settings."""
        url = self._settings.broker_url
        return [broker.name for broker in parse_brokers(url)] if url else []

    async def candidates(self, limit: int) -> dict[str, Any]:
        """Who waits to be registered, and what there is to choose from. Raises ProfileError."""
        profiles, codecs = await asyncio.to_thread(load_all, self._settings.profiles_dir)
        async with self._connection("usp-api-candidates") as connection, connection.transaction(readonly=True):
            found = await candidates(connection, profiles, codecs, limit=limit)
            sites = await connection.fetch(_SITES)
        return {
            "data": [as_object(candidate) for candidate in found],
            "next": None,
            "profiles": [{"profile": p.name, "title": p.title, "kind": p.kind} for p in profiles.values()],
            "kinds": {
                kind.name: {"title": kind.title, "categories": kind.categories, "visibility": kind.default_visibility}
                for kind in KINDS.values()
            },
            "sites": [dict(site) for site in sites],
        }

    async def approve(self, address: str, wish: Mapping[str, Any], name: str | None) -> dict[str, Any]:
        """Register who sends from an address, and take up what waits. Raises RegistryError and ProfileError."""
        profiles = await asyncio.to_thread(load_profiles, self._settings.profiles_dir)
        replayer = await asyncio.to_thread(make_replayer, self._settings)
        async with self._connection("usp-api-approve") as connection:
            await connection.execute(_ALONE, address)
            await publish_profiles(connection, profiles)
            return approval_object(await approve(connection, replayer, address, dict(wish), name=name))

    @asynccontextmanager
    async def _connection(self, application: str) -> AsyncIterator[Connection]:
        """With ingest's rights: a replay writes what ingest writes, and the registry beside."""
        connection = await connect(self._settings.require_database(), role=WRITER_ROLE, application=application)
        try:
            yield connection
        finally:
            connection.terminate()
