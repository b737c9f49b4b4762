"""Making, listing and revoking tokens. A token's text leaves this house once, when it is made."""

import difflib
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg

from usp.db import Connection
from usp.models.token import PREFIX, TokenError, check_scopes, digest

_TOKEN_BYTES = 32
_LONGEST_NAME = 100

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)

LIST = """
    SELECT name, array_to_string(scopes, ' ') AS scopes, created_at, expires_at, revoked_at,
        CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END
        AS state
    FROM usp.token ORDER BY created_at, id
"""


async def create(connection: Connection, name: str, scopes: Iterable[str], expires_at: datetime | None = None) -> str:
    """Make a token and keep its hash; what is returned is nowhere else."""
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise TokenError(f"A name is 1 to {_LONGEST_NAME} printable characters.")
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    checked = check_scopes(scopes)
    try:
        await connection.execute(
            "INSERT INTO usp.token (name, hash, scopes, expires_at) VALUES ($1, $2, $3, $4)",
            name, digest(token), checked, expires_at,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise TokenError(f"There is one called {name!r}; names are kept, also those of revoked tokens.") from None
    return token


async def revoke(connection: Connection, name: str) -> bool:
    """Let a token be valid no longer; False where it had been revoked before."""
    done = await connection.execute(
        "UPDATE usp.token SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL", name
    )
    if done == "UPDATE 1":
        return True
    names = [row["name"] for row in await connection.fetch("SELECT name FROM usp.token ORDER BY name")]
    if name in names:
        return False
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise TokenError(f"There is none called {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))


def parse_expiry(text: str, now: datetime) -> datetime:
    """90d, 12h, 30m, 2w from now, or an RFC 3339 time; in any case later than now."""
    try:
        if found := _DURATION.fullmatch(text):
            moment = now + int(found[1]) * _UNITS[found[2]]
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise TokenError(f"--expires {text!r} is neither 90d, 12h, 30m, 2w nor a time as 2026-11-20.") from None
    if moment <= now:
        raise TokenError(f"--expires {text!r} is over already.")
    return moment
