"""Cursors: after which row the next page begins, and of which window of time."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.datastructures import URL, QueryParams

from usp.errors import QueryError
from usp.models.device import IDENTIFIER
from usp.models.query import TimeWindow

#: Page sizes of formats that come in pages.
DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000

#: Another page size or format is still the same question.
_NOT_ASKED = {"cursor", "limit", "format"}


def reading_cursor(window: TimeWindow, row: Any) -> str:
    """The mark after a reading. It keeps the window: "the last 24 hours" must not move between two pages."""
    return _encode([row["time"], row["device"], window.start.isoformat(), window.end.isoformat()])


def bucket_cursor(window: TimeWindow, key: str, row: Any) -> str:
    """The mark after a bucket of a device, a site, or all; it keeps the window too."""
    return _encode([row["start"], row.get(key, ""), window.start.isoformat(), window.end.isoformat()])


def name_cursor(column: str, row: Any) -> str:
    """The mark after a row of a list that is ordered by names."""
    return _encode([row[column]])


def rejection_cursor(received_at: datetime, number: int) -> str:
    """The mark after a rejection."""
    return _encode([received_at.isoformat(), str(number)])


def parse_rejection_cursor(text: str) -> tuple[datetime, int]:
    """When the last rejection of the page before came, and its number."""
    try:
        received_at, number = _decode(text)
        return _utc(received_at), int(number)
    except (ValueError, TypeError, OverflowError):
        raise not_ours() from None


def parse_reading_cursor(text: str) -> tuple[datetime, str, TimeWindow]:
    """Time and device, or site, after which to go on, and the window."""
    try:
        after, name, start, end = _decode(text)
        window = TimeWindow(_utc(start), _utc(end))
        return _utc(after), name and _identifier(name), window
    except (ValueError, TypeError, OverflowError, QueryError):
        raise not_ours() from None


def parse_name_cursor(text: str) -> str:
    """The name after which to go on."""
    try:
        (name,) = _decode(text)
        return _identifier(name)
    except (ValueError, TypeError):
        raise not_ours() from None


def next_url(url: URL, cursor: str) -> str:
    """The same request, from the cursor on."""
    return str(url.include_query_params(cursor=bound(cursor, url.path, QueryParams(url.query).multi_items())))


def bound(cursor: str, path: str, items: Iterable[tuple[str, str]]) -> str:
    """The cursor together with the question that it belongs to."""
    return f"{cursor}.{_question(path, items)}"


def unbound(text: str, path: str, items: Iterable[tuple[str, str]]) -> str:
    """The cursor alone, if it belongs to this question."""
    cursor, dot, question = text.partition(".")
    if not dot:
        raise not_ours()
    if question != _question(path, items):
        raise QueryError("`cursor` belongs to another query; begin again without it.", parameter="cursor")
    return cursor


def _question(path: str, items: Iterable[tuple[str, str]]) -> str:
    asked = ascii((path, sorted((name, text) for name, text in items if name not in _NOT_ASKED)))
    return base64.urlsafe_b64encode(hashlib.sha256(asked.encode()).digest()[:6]).decode()


def _encode(parts: list[str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(text: str) -> list[Any]:
    try:
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except binascii.Error as error:
        raise ValueError from error
    if not isinstance(parts, list):
        raise TypeError
    return parts


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _identifier(name: str) -> str:
    if IDENTIFIER.fullmatch(name) is None:
        raise ValueError
    return name


def not_ours() -> QueryError:
    """What is said of a cursor that was made up."""
    return QueryError(
        "`cursor` is none of ours; take the whole address from `next` of the page before.", parameter="cursor"
    )
