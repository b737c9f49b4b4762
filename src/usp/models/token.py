"""Tokens: what they look like, what is kept of them, and what their scopes allow."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from usp.errors import UspError
from usp.models.dataset import Visibility
from usp.models.device import IDENTIFIER

PREFIX = "usp_"
#: The prefix, and 32 random bytes in base64url.
FORM = re.compile(r"usp_[A-Za-z0-9_-]{43}", re.ASCII)

READ_RESTRICTED = "read:restricted"
OPS = "ops"
INGEST = "ingest"
#: In place of a device: whichever there is.
EVERY_DEVICE = "*"


class TokenError(UspError):
    """The token cannot be made or changed."""


def digest(token: str) -> bytes:
    """What the database keeps of a token: its SHA-256, without salt.

    Slow, salted hashes protect passwords, which people choose and repeat. A token is 256 random bits: nobody can
    guess his way to it, however fast the hash, and no two are alike.
    """
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True)
class Grant:
    """What a token allows; scopes that this version does not know allow nothing."""

    name: str
    scopes: frozenset[str]

    @property
    def visibility(self) -> Visibility:
        """What may be seen at most: `ops` sees everything, also what is restricted."""
        if OPS in self.scopes:
            return Visibility.OPS
        return Visibility.RESTRICTED if READ_RESTRICTED in self.scopes else Visibility.OPEN

    def may_ingest(self, device: str) -> bool:
        """Whether readings of this device, or gateway, are taken from whoever holds the token."""
        return bool({f"{INGEST}:{device}", f"{INGEST}:{EVERY_DEVICE}"} & self.scopes)


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes, once each, if all of them mean something."""
    checked = sorted(dict.fromkeys(scopes))
    if not checked:
        raise TokenError(f"It needs a scope: {READ_RESTRICTED}, {OPS} or {INGEST}:<device>.")
    for scope in checked:
        _check(scope)
    return checked


def _check(scope: str) -> None:
    if scope in {READ_RESTRICTED, OPS}:
        return
    area, colon, device = scope.partition(":")
    if area == INGEST and colon:
        if device != EVERY_DEVICE and IDENTIFIER.fullmatch(device) is None:
            raise TokenError(f"Scope {scope!r} names no device: 2 to 63 of a-z, 0-9 and '-', or * for every device.")
        return
    known = {READ_RESTRICTED: READ_RESTRICTED, OPS: OPS, INGEST: f"{INGEST}:{device or '<device>'}"}
    near = [
        *difflib.get_close_matches(scope.lower(), [READ_RESTRICTED, OPS, INGEST], n=1, cutoff=0.6),
        *difflib.get_close_matches(area.lower(), [INGEST], n=1, cutoff=0.6),
        *difflib.get_close_matches(scope.lower(), [READ_RESTRICTED, OPS, INGEST], n=1, cutoff=0.0),
    ][0]
    raise TokenError(f"Unknown scope {scope!r}; did you mean {known[near]}?")
