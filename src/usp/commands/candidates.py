"""How candidates and approvals are shown: a row for people, all of it for programs."""

from collections.abc import Iterable
from typing import Any

import orjson

from usp.approval import Approval
from usp.candidates import Candidate
from usp.commands.console import plain

HEADER = ["address", "name", "model", "application", "door", "waiting", "last_seen", "sample", "profiles", "tags"]
_SHOWN = 100


def as_row(candidate: Candidate) -> list[object]:
    """The most telling of it."""
    label = candidate.label
    waiting = f"{candidate.waiting:,}" + (f" (+{candidate.not_kept:,} not kept)" if candidate.not_kept else "")
    profiles = ", ".join(f"{s.profile} ({s.known} of {s.fields})" for s in candidate.suggestions)
    if candidate.registered_as is not None:
        profiles = f"registered as {candidate.registered_as}; approve it again"
    elif candidate.parent is not None:
        profiles = f"part of {candidate.parent}" + (f"; {profiles}" if profiles else "")
    return [
        plain(candidate.address),
        plain(label.name),
        plain(label.model),
        plain(label.application),
        ", ".join(candidate.doors),
        waiting,
        candidate.last_at.isoformat(timespec="seconds"),
        _sample(candidate),
        profiles,
        _cut(" ".join(f"{key}={value}" for key, value in label.tags.items())),
    ]


def _sample(candidate: Candidate) -> str:
    if candidate.fields is not None:
        text = " ".join(f"{name}={_short(value)}" for name, value in candidate.fields.items() if name != "time")
    elif candidate.payload is not None:
        text = f"port {candidate.port}: {candidate.payload.hex()}"
    else:
        text = ""
    return _cut(text)


def _cut(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _short(value: Any) -> str:
    if isinstance(value, list | dict):
        return "[…]" if isinstance(value, list) else "{…}"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def as_json(found: Iterable[Candidate]) -> str:
    """All that is known of them."""
    return orjson.dumps([as_object(candidate) for candidate in found], option=orjson.OPT_INDENT_2).decode()


def as_object(candidate: Candidate) -> dict[str, Any]:
    """All that is known of one."""
    label = candidate.label
    return {
        "network": candidate.sender.network,
        "address": candidate.address,
        "doors": candidate.doors,
        "waiting": candidate.waiting,
        "not_kept": candidate.not_kept,
        "first_at": candidate.first_at,
        "last_at": candidate.last_at,
        "name": label.name,
        "application": label.application,
        "model": label.model,
        "tags": dict(label.tags),
        "sampled_at": candidate.sampled_at,
        "fields": None if candidate.fields is None else dict(candidate.fields),
        "port": candidate.port,
        "payload": None if candidate.payload is None else candidate.payload.hex(),
        "parent": candidate.parent,
        "registered_as": candidate.registered_as,
        "suggestions": [{"profile": s.profile, "known": s.known, "fields": s.fields} for s in candidate.suggestions],
    }


def approval_object(done: Approval) -> dict[str, Any]:
    """The device as it stands now, and what became of what waited; what it has not is left out."""
    told = {"device": done.name, "address": done.address}
    told |= {column: value for column, value in done.device.items() if column != "name" and value not in {None, ""}}
    return told | {"was_there": done.was_there} | vars(done.taken)
