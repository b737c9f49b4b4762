"""Who waits to be registered, and registering him: what a body says, and what whoever started the API does about it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from starlette.requests import Request

from usp.api import values
from usp.api.params import CATEGORIES, Texts
from usp.api.problems import NotOffered, shown
from usp.api.replays import Operations, read_members
from usp.db import LOST, Verdict, verdict
from usp.errors import DatabaseUnavailable, QueryError, RegistryError
from usp.models.dataset import Visibility
from usp.models.device import KINDS, device_mistakes

Document = dict[str, Any]

DEFAULT_CANDIDATES, MAX_CANDIDATES = 100, 1_000

#: The members of the body: who is meant, and the columns of a device.
NEEDED = ("address", "profile")
_WORDS = {"kind": KINDS, "category": CATEGORIES, "visibility": tuple(Visibility)}
_TEXTS = (*NEEDED, "name", "title", "site", *_WORDS)
_NUMBERS = ("lon", "lat")
#: Letters of a title: as many as the form takes.
MAX_TITLE = 200
MEMBERS = (*_TEXTS, *_NUMBERS, "approximate")


class CannotApprove(NotOffered):
    """This process cannot register devices; `usp devices approve` can, and so can the API that `usp api` starts."""


@runtime_checkable
class Administration(Operations, Protocol):
    """What the API passes on for the operators' page; replays beside."""

    async def candidates(self, limit: int) -> Document:
        """Who waits, the newest first, and what a form offers. Raises ProfileError where a profile is mistaken."""

    async def approve(self, address: str, wish: Mapping[str, Any], name: str | None) -> Document:
        """Register who sends from an address, and take up what waits. Raises RegistryError, and ProfileError."""

    def brokers(self) -> Sequence[str]:
        """Where the brokers are that this process was told of, without passwords."""


def administration(request: Request) -> Administration:
    """What this process was given. Raises CannotApprove."""
    found = request.app.state.replays
    if not isinstance(found, Administration):
        raise CannotApprove
    return found


def brokers(request: Request) -> Sequence[str]:
    """Where the brokers are, as far as this process was told."""
    found = request.app.state.replays
    return found.brokers() if isinstance(found, Administration) else ()


def rows_of(texts: Texts) -> int:
    """How many are wanted."""
    why = f"from 1 to {MAX_CANDIDATES}"
    return values.whole("limit", texts.get("limit", str(DEFAULT_CANDIDATES)), MAX_CANDIDATES, why)


@contextmanager
def _telling() -> Iterator[None]:
    """What the registry refuses is the request's fault, and a database that is away is nobody's."""
    try:
        yield
    except RegistryError as error:
        raise QueryError(error.detail, parameter=getattr(error, "parameter", "")) from error
    except LOST as error:
        if verdict(error) is Verdict.RETRY:
            raise DatabaseUnavailable(str(error)) from error
        raise


async def listed(request: Request, limit: int) -> Document:
    """Who waits, and what a form offers."""
    with _telling():
        return await administration(request).candidates(limit)


async def approved(request: Request, body: bytes) -> Document:
    """What became of it."""
    able, asked = administration(request), parse(body)
    address, name = asked.pop("address"), asked.pop("name", None)
    with _telling():
        return await able.approve(address, asked, name)


def parse(body: bytes) -> dict[str, Any]:
    """What is given of `MEMBERS`, each of its type; what the registry alone knows is left to it."""
    asked = read_members(body, MEMBERS, 'as {"address": "70b3d57ed0000001", "profile": "bosch-tps110"}')
    for name in NEEDED:
        if name not in asked:
            raise QueryError(f"`{name}` is missing.", parameter=name)
    for name, value in asked.items():
        _check(name, value)
    if "visibility" in asked:
        asked["visibility"] = Visibility(asked["visibility"])
    for mistake in device_mistakes(asked):
        raise QueryError(mistake.text, parameter=mistake.column)
    return asked


def _check(name: str, value: Any) -> None:
    if name in _TEXTS:
        if not isinstance(value, str) or not value.strip():
            raise QueryError(f"`{name}` is a text; leave it out where it has none.", parameter=name)
        if not value.isprintable():
            raise QueryError(f"`{name}` {shown(value)} holds a control character.", parameter=name)
        if name == "title" and len(value) > MAX_TITLE:
            raise QueryError(f"`title` has {len(value)} letters; {MAX_TITLE} at most.", parameter=name)
        if name in _WORDS:
            values.known_word(name, value, _WORDS[name])
    elif name in _NUMBERS:
        if type(value) not in {int, float}:
            raise QueryError(f"`{name}` is a number, in degrees.", parameter=name)
    elif not isinstance(value, bool):
        raise QueryError(f"`{name}` is true or false.", parameter=name)
