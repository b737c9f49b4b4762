"""What each operation may answer: every status by its name, with bodies in each format and headers."""

import json
from typing import Any

from usp.api import examples, schemas
from usp.api.documents import DOCUMENTS
from usp.api.problems import RETRY_AFTER_S
from usp.api.registry import DEVICE_COLUMNS, SITE_COLUMNS
from usp.api.representations import FORMATS

Spec = dict[str, Any]

#: Rows in any format, by the operation that gives them.
_ROWS = {
    "readings": {"anyOf": [*schemas.any_dataset("reading")["anyOf"], schemas.BUCKET]},
    "latest": schemas.any_dataset("latest"),
    "devices": schemas.columns(DEVICE_COLUMNS),
    "sites": schemas.columns(SITE_COLUMNS),
}
_ONE = {
    **DOCUMENTS,
    "rejection": schemas.REJECTION,
    "rejections": schemas.page(schemas.REJECTION),
    "rejection_stats": schemas.page(schemas.REJECTION_STATS),
}
#: What is told line by line, and the body that asks for it.
DONE = {"replay": (schemas.PROGRESS, schemas.REPLAY, examples.REPLAY)}
#: What does something as well, and answers with a document.
_DOES = (*DONE, "approve")
#: What is told as events, without an end.
TOLD = ("stream",)
#: The same for everybody, as often as one likes: no token is looked at, nobody is counted.
FREE = ("live", "ready")


def _header(description: str, example: str | int, *, required: bool = False, **schema: Any) -> Spec:
    spec = {"description": description, "schema": {"type": "string"} | schema, "example": example}
    return spec | {"required": True} if required else spec


#: By the name under which the document keeps them.
HEADERS: dict[str, Spec] = {
    "ETag": _header(
        "Weak mark of the content; `If-None-Match` with it gets 304. Streamed exports have none.",
        'W/"5d41402abc4b2a76"',
    ),
    "Link": _header(
        'RFC 8288: rel="next" is the next page, "describedby" the dataset, "license" its licence.',
        '</v1/datasets/air_quality>; rel="describedby"',
    ),
    "Cache-Control": _header("Keep it, but ask each time whether it still holds.", "no-cache", required=True),
    "Vary": _header(
        "What the answer depends on beside its address.", "Accept, Accept-Encoding, Authorization", required=True
    ),
    "Content-Disposition": _header("A name for the file; exports only.", 'attachment; filename="air_quality.csv"'),
    "RateLimit": _header(
        "Requests left (r) until the window ends, in t seconds; only where a limit holds.", '"client";r=1199;t=60'
    ),
    "RateLimit-Policy": _header("Requests (q) in a window of w seconds.", '"client";q=1200;w=60'),
    "Retry-After": _header(
        "Seconds after which to ask again.", RETRY_AFTER_S, required=True, type="integer", minimum=1
    ),
    "WWW-Authenticate": _header("What kind of token would do (RFC 6750).", 'Bearer realm="usp"', required=True),
}
_ALWAYS = ("Cache-Control", "Vary")
_RATE = ("RateLimit", "RateLimit-Policy")
#: Status -> the headers of its own.
_OF_STATUS = {
    "304": ("ETag",),
    "401": ("WWW-Authenticate",),
    "403": ("WWW-Authenticate",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}


def responses(what: str, *, path: str, needs: str) -> Spec:
    """All that the operation `what` may answer; `path` is the parameter in its path, `needs` the scope it needs."""
    does, free = what in _DOES, what in FREE
    left_out = {"304": does or what in TOLD, "404": not path, "403": not needs, "406": does, "401": free, "429": free}
    left_out |= {"409": not does, "501": not does, "503": what == "live"}
    rate = () if free else _RATE
    found: Spec = {
        "200": {"description": "As asked.", "headers": _headers((*_of_ok(what), *rate)), "content": _content(what)}
    }
    for status, answer in {"304": {"description": "Not Modified"}, **examples.PROBLEMS}.items():
        if left_out.get(status):
            continue
        # Accidents are told by the outermost layer, which knows nothing of the others.
        names = () if status == "500" else (*_ALWAYS, *_OF_STATUS.get(status, ()), *rate)
        found[status] = {**answer, "headers": _headers(names)}
    return found


def _of_ok(what: str) -> tuple[str, ...]:
    if what in _DOES or what in TOLD:
        return _ALWAYS
    return (*_ALWAYS, "ETag", "Link", "Content-Disposition") if what in _ROWS else (*_ALWAYS, "ETag", "Link")


def _headers(names: tuple[str, ...]) -> Spec:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _content(what: str) -> Spec:
    """What an address answers, in each format."""
    if what in DONE:
        return {"application/x-ndjson": {"schema": DONE[what][0], "example": examples.NDJSON[what]}}
    if what in TOLD:
        return {"text/event-stream": {"schema": schemas.TEXT, "example": examples.EVENTS[what]}}
    if what not in _ROWS:
        schema = _ONE.get(what, {"type": "object"})
        return {"application/json": {"schema": schema, "example": examples.JSON[what]}}
    return {format_.media_type: _rows(what, format_.name) for format_ in FORMATS}


def _rows(what: str, format_: str) -> Spec:
    """Rows in a format; where it is not known better, some text."""
    rows = examples.JSON[what]["data"]
    known: dict[str, Spec] = {
        "json": {"schema": schemas.page(_ROWS[what]), "example": examples.JSON[what]},
        "csv": {"schema": schemas.TEXT, "example": examples.CSV[what]},
        "ndjson": {"schema": schemas.TEXT, "example": "".join(f"{json.dumps(row)}\n" for row in rows)},
        "geojson": {"schema": schemas.features(_ROWS[what])},
        "parquet": {"schema": {"type": "string", "format": "binary"}},
    }
    return known.get(format_, {"schema": schemas.TEXT})
