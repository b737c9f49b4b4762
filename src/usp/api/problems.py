"""Errors as the API tells them: RFC 9457 problem details, one table from error to status."""

import difflib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from usp.errors import CodecError, DatabaseUnavailable, NotFound, ProfileError, QueryError, ReplayRuns, UspError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
#: What every address allows, but for those that do something.
METHODS = ("GET", "HEAD", "OPTIONS")
DOING = ("POST", "OPTIONS")

#: What other services call it -> what it is called here; no likeness of letters would find these.
_ELSEWHERE = {
    **dict.fromkeys(("page", "offset", "skip", "after"), "cursor"),
    **dict.fromkeys(("start", "since", "begin", "date_from", "start_time"), "from"),
    **dict.fromkeys(("end", "until", "date_to", "end_time"), "to"),
    **dict.fromkeys(("per_page", "page_size", "size", "count", "rows", "top"), "limit"),
    **dict.fromkeys(("sort", "sort_by", "orderby", "direction"), "order"),
    **dict.fromkeys(("fields", "columns", "select", "parameter", "parameters", "property", "metric"), "properties"),
    **dict.fromkeys(("sensor", "station", "id", "location"), "device"),
    **dict.fromkeys(("lat", "lon", "latitude", "longitude", "coordinates", "radius", "distance"), "near"),
    **dict.fromkeys(("filter", "q", "query"), "where"),
    **dict.fromkeys(("interval", "aggregation", "resolution", "granularity", "period", "group"), "bucket"),
    **dict.fromkeys(("timezone", "time_zone"), "tz"),
    "type": "kind",
    "xls": "csv",
    "xlsx": "csv",
    "excel": "csv",
    "jsonl": "ndjson",
}

#: Longer names are no typing mistakes, and comparing them would cost time.
LONGEST_NAME = 80


class UnknownName(QueryError):
    """The request names something that is not there."""

    def __init__(self, detail: str, *, parameter: str, suggestion: str | None) -> None:
        super().__init__(_did_you_mean(detail, suggestion), parameter=parameter)
        self.suggestion = suggestion


class NothingThere(NotFound):
    """There is nothing of this name."""

    def __init__(self, detail: str, suggestion: str | None = None) -> None:
        super().__init__(_did_you_mean(detail, suggestion))
        self.suggestion = suggestion


class NotAcceptable(UspError):
    """No format is known for what `Accept` asks."""


class TooSlow(UspError):
    """The database took too long over this question; ask for less, or in smaller parts."""


class TooManyExports(UspError):
    """As many exports are running as may at once; ask again in a few seconds."""


class InvalidToken(UspError):
    """The token is unknown, has expired or was revoked."""

    challenge = 'Bearer realm="usp", error="invalid_token"'


class TokenNeeded(UspError):
    """This needs a token."""

    # RFC 6750, 3.1: without a token, or with another scheme, there is no error code.
    challenge = 'Bearer realm="usp"'


class BadAuthorization(UspError):
    """`Authorization` cannot be read."""

    challenge = 'Bearer realm="usp", error="invalid_request"'


class Forbidden(UspError):
    """The token does not allow this."""

    def __init__(self, detail: str, *, scope: str) -> None:
        super().__init__(detail)
        self.challenge = f'Bearer realm="usp", error="insufficient_scope", scope="{scope}"'


class NotOffered(UspError):
    """This process cannot replay; `usp rejections replay` can, and so can the API that `usp api` starts."""


#: The first class that fits decides.
STATUS: dict[type[Exception], HTTPStatus] = {
    QueryError: HTTPStatus.BAD_REQUEST,
    InvalidToken: HTTPStatus.UNAUTHORIZED,
    TokenNeeded: HTTPStatus.UNAUTHORIZED,
    BadAuthorization: HTTPStatus.BAD_REQUEST,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    ReplayRuns: HTTPStatus.CONFLICT,
    # A profile that was being mended, and whose mistakes whoever mends it wants to read.
    ProfileError: HTTPStatus.CONFLICT,
    CodecError: HTTPStatus.CONFLICT,
    NotOffered: HTTPStatus.NOT_IMPLEMENTED,
    TooSlow: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyExports: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UspError: HTTPStatus.INTERNAL_SERVER_ERROR,
    asyncpg.PostgresError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Exception: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: Their details are meant for whoever asked.
_TOLD = (QueryError, NotFound, NotAcceptable, TokenNeeded, BadAuthorization, Forbidden, ProfileError, CodecError)


def status_of(error: Exception) -> HTTPStatus:
    """The HTTP status that tells this error."""
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """The known name most like `name`, if any is."""
    if len(name) > LONGEST_NAME:
        return None
    names = list(known)
    if (here := _ELSEWHERE.get(name.lower())) in names:
        return here
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return near[0] if near else None


def shown(text: str) -> str:
    """What was given, quoted, shortened so that an error stays readable."""
    return repr(text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…")


def _did_you_mean(detail: str, suggestion: str | None) -> str:
    return detail if suggestion is None else f"{detail} Did you mean {suggestion}?"


def problem(status: HTTPStatus, detail: str, **members: Any) -> Response:
    """A problem document; members that are None are left out."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body |= {name: value for name, value in members.items() if value}
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(orjson.dumps(body), status.value, headers, MEDIA_TYPE)


async def tell(request: Request, error: Exception) -> Response:
    """Answer with the problem that `error` is; what is not of our own making is not explained to strangers."""
    if status_of(error) is HTTPStatus.INTERNAL_SERVER_ERROR or not isinstance(error, UspError):
        log.error("request_failed", path=request.url.path, query=request.url.query, exc_info=error)
        return problem(status_of(error), "Something went wrong here; the server's log has the details.")
    detail = error.detail if isinstance(error, _TOLD) else error.message
    response = problem(
        status_of(error),
        detail or error.message,
        parameter=getattr(error, "parameter", None),
        suggestion=getattr(error, "suggestion", None),
    )
    if challenge := getattr(error, "challenge", None):
        response.headers["WWW-Authenticate"] = challenge
    return response


async def tell_http(request: Request, error: Exception) -> Response:
    """Answer for the router: an unknown path, a method that is not allowed, which methods are."""
    if not isinstance(error, HTTPException):
        raise error
    not_allowed = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    does = "POST" in (error.headers or {}).get("Allow", "")
    methods = DOING if does else METHODS
    allow = {"Allow": ", ".join(methods)} if not_allowed else {}
    if not_allowed and request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=allow)
    near = _nearest_address(request)
    details = {
        HTTPStatus.NOT_FOUND: _did_you_mean("There is nothing at this address; /docs lists what there is.", near),
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does something: POST or OPTIONS."
        if does
        else "This address can only be read: GET, HEAD or OPTIONS.",
    }
    status = HTTPStatus(error.status_code)
    suggestion = near if status is HTTPStatus.NOT_FOUND else None
    response = problem(status, details.get(status, error.detail), suggestion=suggestion)
    response.headers.update({**(error.headers or {}), **allow})
    return response


def _nearest_address(request: Request) -> str | None:
    """The documented address most like the one asked for, the names in it as they were given."""
    asked = request.url.path.lower().rstrip("/").split("/")
    alike = (
        "/".join(given if part.startswith("{") else part for part, given in zip(parts, asked, strict=True))
        for parts in (address.split("/") for address in request.app.state.addresses)
        if len(parts) == len(asked)
    )
    return nearest("/".join(asked), alike, cutoff=0.7)
