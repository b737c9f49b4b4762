"""What was refused, as operators look at it: lists, single ones, figures; all read from the views of schema `ops`."""

import base64
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from usp.api import values
from usp.api.paging import MAX_LIMIT, parse_rejection_cursor, rejection_cursor
from usp.api.params import Texts
from usp.api.places import nearest_name
from usp.api.problems import NothingThere, UnknownName, shown
from usp.db import Connection
from usp.errors import QueryError
from usp.models.device import IDENTIFIER
from usp.models.reasons import EXPLANATIONS, Reason
from usp.models.rejection import RejectionFilter, State

Document = dict[str, Any]
#: When the last one of a page came, and its number.
Mark = tuple[datetime, int]

#: Rejections on a page: each may hold an item of 64 KiB, and a page ends early where they are that large.
DEFAULT_ROWS, MAX_ROWS = 100, 1_000
PAGE_BYTES = 4_000_000

#: PostgreSQL's bigint.
HIGHEST_ID = 2**63 - 1

#: What figures can be told apart by.
BY = ("reason", "address", "day")

_NAMES = (
    *("id", "received_at", "door", "topic", "address", "device", "dataset", "field", "reason", "detail", "whole_item"),
    *("payload", "payload_length", "payload_sha256", "replayed_at", "resolved_at"),
)
_COLUMNS = ", ".join(_NAMES)

_ROWS = """
    SELECT {key} AS {by}, count(*) FILTER (WHERE resolved_at IS NULL) AS open,
        count(*) FILTER (WHERE resolved_at IS NOT NULL) AS resolved, max(received_at) AS last
    FROM ops.rejection GROUP BY 1
"""
_DAYS = _ROWS.format(key="to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", by="day")
_TALLIED = """
    SELECT coalesce(r.{by}, t.{by}) AS {by}, coalesce(r.open, 0) AS open, coalesce(r.resolved, 0) AS resolved,
        coalesce(t.kept, 0)::bigint AS kept, coalesce(t.total, 0)::bigint AS total,
        greatest(r.last, t.last) AS last
    FROM ({rows}) r FULL JOIN (
        SELECT {by}, sum(kept) AS kept, sum(total) AS total, max(last_at) AS last FROM ops.rejection_tally GROUP BY 1
    ) t ON t.{by} = r.{by}
"""
_STATS = {
    "day": f"SELECT day, open, resolved FROM ({_DAYS}) d ORDER BY day DESC LIMIT $1",
    **{
        by: f"SELECT * FROM ({_TALLIED.format(by=by, rows=_ROWS.format(key=by, by=by))}) s "
        f"ORDER BY open DESC, total DESC, {by} LIMIT $1"
        for by in ("reason", "address")
    },
}


def choice(texts: Texts) -> RejectionFilter:
    """Which rejections the parameters mean."""
    since = values.moment("from", texts["from"]) if "from" in texts else None
    until = values.moment("to", texts["to"]) if "to" in texts else None
    if since is not None and until is not None and since >= until:
        raise QueryError("`from` has to be before `to`.", parameter="from")
    for name in ("address", "door", "field"):
        if "\x00" in texts.get(name, ""):
            raise QueryError(f"`{name}` holds a NUL character, which no text here does.", parameter=name)
    return RejectionFilter(
        reason=values.known_word("reason", texts["reason"], list(Reason)) if "reason" in texts else None,
        address=texts.get("address"),
        device=texts.get("device"),
        door=texts.get("door"),
        field=texts.get("field"),
        since=since,
        until=until,
        state=State(values.known_word("state", texts.get("state", State.OPEN), list(State))),
    )


def rows_of(texts: Texts) -> int:
    """How many are wanted on a page."""
    why = f"from 1 to {MAX_ROWS} make a page, and `next` leads on"
    return values.whole("limit", texts["limit"], MAX_ROWS, why) if "limit" in texts else DEFAULT_ROWS


def groups_of(texts: Texts) -> tuple[str, int]:
    """What the figures are told apart by, and how many are wanted."""
    limit = values.whole("limit", texts.get("limit", "1000"), MAX_LIMIT, f"from 1 to {MAX_LIMIT}")
    return values.known_word("by", texts.get("by", "reason"), BY), limit


def after(texts: Texts) -> Mark | None:
    """Where the page before ended."""
    return parse_rejection_cursor(texts["cursor"]) if "cursor" in texts else None


async def check_device(connection: Connection, chosen: RejectionFilter) -> None:
    """Refuse a device that nobody has registered."""
    name = chosen.device
    if name is None:
        return
    found = IDENTIFIER.fullmatch(name) and await connection.fetchval("SELECT id FROM ops.device WHERE name = $1", name)
    if not found:
        raise UnknownName(
            f"Unknown device {shown(name)}; what came from nobody's device is found by `address`.",
            parameter="device",
            suggestion=await nearest_name(connection, "ops.device", name),
        )


async def listed(
    connection: Connection, chosen: RejectionFilter, limit: int, mark: Mark | None = None, *, most_bytes: int
) -> tuple[list[asyncpg.Record], bool]:
    """Rejections, newest first, as many as asked for and as fit; and whether there are more."""
    await check_device(connection, chosen)
    where, arguments = chosen.condition(device="device = {}")
    if mark is not None:
        where += f" AND (received_at, id) < (${len(arguments) + 1}, ${len(arguments) + 2})"
        arguments += mark
    records = await connection.fetch(
        f"""
        SELECT {_COLUMNS}, found FROM (
            SELECT *, count(*) OVER () AS found, row_number() OVER newest AS place,
                sum(CASE WHEN payload IS NULL THEN 0 ELSE payload_length END) OVER newest AS bytes
            FROM (
                SELECT {_COLUMNS} FROM ops.rejection WHERE {where} ORDER BY received_at DESC, id DESC
                LIMIT ${len(arguments) + 1}
            ) AS page WINDOW newest AS (ORDER BY received_at DESC, id DESC)
        ) AS weighed WHERE place = 1 OR bytes <= ${len(arguments) + 2} ORDER BY received_at DESC, id DESC
        """,
        *arguments,
        limit + 1,
        most_bytes,
    )
    fitting = records[:limit]
    return fitting, bool(records) and records[0]["found"] > len(fitting)


def mark_after(record: asyncpg.Record) -> str:
    """The cursor after a rejection."""
    return rejection_cursor(record["received_at"], record["id"])


async def one(connection: Connection, number: int) -> asyncpg.Record:
    """A rejection. Raises NotFound."""
    known = 0 < number <= HIGHEST_ID
    sql = f"SELECT {_COLUMNS} FROM ops.rejection WHERE id = $1"
    record = await connection.fetchrow(sql, number) if known else None
    if record is None:
        raise NothingThere(f"There is no rejection {shown(str(number))}.")
    return record


def explanation(reason: str) -> str:
    """What a reason means, and what would be right."""
    return EXPLANATIONS[Reason(reason)] if reason in set(Reason) else "A reason of another version of the platform."


async def stats(connection: Connection, by: str, limit: int) -> list[Document]:
    """How many wait and how many are resolved, by today's reason; with how many were kept, and how many there were."""
    return [_some(record) for record in await connection.fetch(_STATS[by], limit)]


def document(record: asyncpg.Record) -> Document:
    """A rejection as JSON shows it: without what is empty, its bytes as text where they are text."""
    found = _some({name: record[name] for name in _NAMES})
    payload, digest = record["payload"], record["payload_sha256"]
    if payload is not None:
        found["payload"], found["payload_encoding"] = _readable(payload)
    if digest is not None:
        found["payload_sha256"] = digest.hex()
    return found


def _readable(payload: bytes) -> tuple[str, str]:
    try:
        return payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(payload).decode(), "base64"


def _some(row: Any) -> Document:
    return {name: value for name, value in row.items() if value is not None and value != ""}


def pretty(payload: bytes) -> str | None:
    """The item, indented, where it is JSON."""
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, TypeError):
        return None
