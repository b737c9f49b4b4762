"""Senders that nobody has registered: what they sent, what their network calls them, which profiles would fit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from usp.db import Connection
from usp.ingest.bridges import bridge_of
from usp.ingest.bridges.bridge import Label, Readings, Sender, Uplink
from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame
from usp.ingest.normalise import Normaliser
from usp.ingest.refusal import Refused
from usp.models.device import KINDS, native_profile
from usp.models.profile import DeviceProfile
from usp.models.reasons import Reason
from usp.registry.addresses import address_text

#: Of so many of the newest messages one is shown that holds something.
_LOOKED_AT = 5
#: Profiles suggested for each candidate.
_SUGGESTED = 3

_NO_LABEL = Label()
_WORD = re.compile(r"[a-z0-9]+")

_GROUPS = """
    SELECT r.door, r.address, p.name AS parent, p.profile AS parent_profile,
        CASE WHEN p.id IS NOT NULL THEN r.field ELSE '' END AS part,
        count(*) AS waiting, min(r.received_at) AS first_at, max(r.received_at) AS last_at,
        (array_agg(r.id ORDER BY r.id DESC) FILTER (WHERE r.payload IS NOT NULL))[1:$2] AS newest
    FROM usp.rejection r LEFT JOIN usp.device p ON p.id = r.device
    WHERE r.reason = $1 AND r.resolved_at IS NULL AND (p.id IS NULL OR r.field <> '')
        AND ($4::text[] IS NULL OR r.address = ANY($4) OR p.name || '-' || r.field = ANY($4))
    GROUP BY 1, 2, 3, 4, 5 ORDER BY max(r.received_at) DESC LIMIT $3
"""


@dataclass(frozen=True)
class Suggestion:
    """A profile that understands `known` of a sample's `fields` fields."""

    profile: str
    known: int
    fields: int


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sender that is not registered, or had not been when it sent what waits.

    `fields` is what the network server decoded of the sample, or what the device itself says; else there are
    `payload` and `port`. `parent` is the registered device of which this is a part. `registered_as` is the device
    that has the address meanwhile. `not_kept` counts what came beyond what is kept for one sender.
    """

    sender: Sender
    doors: tuple[str, ...]
    waiting: int
    not_kept: int
    first_at: datetime
    last_at: datetime
    label: Label = _NO_LABEL
    sampled_at: datetime | None = None
    fields: Mapping[str, Any] | None = None
    payload: bytes | None = None
    port: int | None = None
    parent: str | None = None
    registered_as: str | None = None
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def address(self) -> str:
        """The address as it is written in files and commands."""
        return address_text(self.sender)


@dataclass
class _Found:
    """One sender by one door."""

    sender: Sender
    record: Any
    label: Label = _NO_LABEL
    sampled_at: datetime | None = None
    fields: Mapping[str, Any] | None = None
    uplink: Uplink | None = None
    suggestions: list[Suggestion] = field(default_factory=list)


async def candidates(
    connection: Connection,
    profiles: Mapping[str, DeviceProfile],
    codecs: Mapping[str, Codec] | None = None,
    *,
    addresses: Sequence[str] | None = None,
    limit: int = 100,
) -> list[Candidate]:
    """Who waits to be registered, the newest first; `addresses` are as rejections hold them, or names of parts."""
    groups = await connection.fetch(_GROUPS, Reason.UNKNOWN_DEVICE, _LOOKED_AT, limit, addresses)
    newest = [number for group in groups for number in group["newest"] or ()]
    kept = await connection.fetch(
        "SELECT id, topic, payload, received_at FROM usp.rejection WHERE id = ANY($1)", newest
    )
    messages = {record["id"]: record for record in kept}
    normalisers = {name: Normaliser(profile) for name, profile in profiles.items()}
    found = [_found(g, [messages[n] for n in g["newest"] or () if n in messages], normalisers) for g in groups]
    for each in found:
        if each.fields is not None:
            fits = (_fit(name, normaliser, each.fields, each) for name, normaliser in normalisers.items())
            each.suggestions += filter(None, fits)
    await _decode(found, normalisers, codecs or {})
    tallies = await connection.fetch(
        "SELECT address, sum(total - kept)::bigint AS not_kept FROM usp.rejection_tally "
        "WHERE reason = $1 AND address = ANY($2) GROUP BY address",
        Reason.UNKNOWN_DEVICE,
        [g["address"] for g in groups],
    )
    not_kept = {t["address"]: t["not_kept"] for t in tallies}
    registered = await _registered(connection, [each.sender for each in found])
    return _merged(found, not_kept, registered, profiles)


def _found(group: Any, messages: Sequence[Any], normalisers: Mapping[str, Normaliser]) -> _Found:
    """A sender with the newest of its messages that holds something."""
    if group["part"]:
        return _part(group, messages, normalisers)
    found = _Found(Sender("", group["address"]), group)
    for number, message in enumerate(messages):
        topic, payload = message["topic"], message["payload"]
        bridge = bridge_of(topic)
        if number == 0:
            found.sender, found.label = bridge.sender(topic), bridge.label(payload)
        with suppress(Refused):
            unwrapped = bridge.unwrap(topic, payload)
            found.sender = unwrapped.sender
            if isinstance(unwrapped, Uplink) and (unwrapped.fields or unwrapped.payload):
                found.uplink = unwrapped
                found.fields, found.sampled_at = unwrapped.fields or None, message["received_at"]
                break
            if isinstance(unwrapped, Readings) and type(unwrapped.items[-1]) is dict:
                found.fields, found.sampled_at = unwrapped.items[-1], message["received_at"]
                break
    return found


def _part(group: Any, messages: Sequence[Any], normalisers: Mapping[str, Normaliser]) -> _Found:
    """A lane, a connector or a flat of a device that is registered."""
    found = _Found(Sender("", f"{group['parent']}-{group['part']}"), group)
    normaliser = normalisers.get(group["parent_profile"])
    for message in messages if normaliser is not None else ():
        with suppress(Refused):
            unwrapped = bridge_of(message["topic"]).unwrap(message["topic"], message["payload"])
            whole: Any = unwrapped.items if isinstance(unwrapped, Readings) else [getattr(unwrapped, "fields", None)]
            for item in whole:
                parts = dict(normaliser.split(item)[1]) if normaliser and type(item) is dict else {}
                if group["part"] in parts:
                    found.fields, found.sampled_at = parts[group["part"]], message["received_at"]
                    return found
    return found


async def _decode(found: Iterable[_Found], normalisers: Mapping[str, Normaliser], codecs: Mapping[str, Codec]) -> None:
    """Let every codec try the samples of which only the bytes are known."""
    raw = [(each, each.uplink) for each in found if each.fields is None and each.uplink is not None]
    if not raw:
        return
    frames = [Frame(u.payload or b"", u.port, u.time, u.variables) for _, u in raw]
    runtime = CodecRuntime()
    try:
        for name, codec in codecs.items():
            for (each, _), result in zip(raw, await runtime.decode(codec, frames), strict=True):
                if isinstance(result, Decoded) and isinstance(result.data, dict) and name in normalisers:
                    fit = _fit(name, normalisers[name], result.data, each)
                    each.suggestions += [fit] if fit is not None else []
    finally:
        await runtime.close()


def _fit(name: str, normaliser: Normaliser, fields: Mapping[str, Any], found: _Found) -> Suggestion | None:
    """How much of the fields a profile understands; what it would flag as impossible does not count."""
    at = found.sampled_at or found.record["last_at"]
    try:
        parts: Sequence[Any] = ()
        if normaliser.has_children:
            fields, parts = normaliser.split(fields)
        rows, refused, unmapped = normaliser(0, dict(fields), at, (at, 0))
    except Refused:
        return None
    known = sum(row[-1].bit_count() - row[-4].bit_count() for _, row in rows) + len(parts)
    if known <= 0:
        return None
    flagged = sum(row[-4].bit_count() for _, row in rows)
    return Suggestion(name, known, known + flagged + len(refused) + len(unmapped))


async def _registered(connection: Connection, senders: Sequence[Sender]) -> dict[Sender, str]:
    """Which of the senders have been registered meanwhile, and as what."""
    records = await connection.fetch(
        "SELECT a.network, a.address, d.name FROM usp.device_address a JOIN usp.device d ON d.id = a.device "
        "WHERE upper_inf(a.valid) AND a.address = ANY($1) "
        "UNION ALL SELECT '', name, name FROM usp.device WHERE name = ANY($1)",
        [sender.address for sender in senders],
    )
    return {Sender(r["network"], r["address"]): r["name"] for r in records}


def _merged(
    found: Iterable[_Found],
    not_kept: Mapping[str, int],
    registered: Mapping[Sender, str],
    profiles: Mapping[str, DeviceProfile],
) -> list[Candidate]:
    """One candidate for each sender, by however many doors it came; the newest first."""
    groups: dict[Sender, list[_Found]] = {}
    for each in found:
        groups.setdefault(each.sender, []).append(each)
    result = []
    for sender, same in groups.items():
        newest = same[0]
        sample = next((each for each in same if each.sampled_at is not None), newest)
        label = next((each.label for each in same if each.label != _NO_LABEL), newest.label)
        uplink = sample.uplink
        result.append(
            Candidate(
                sender=sender,
                doors=tuple(sorted({each.record["door"] for each in same})),
                waiting=sum(each.record["waiting"] for each in same),
                not_kept=0 if newest.record["part"] else not_kept.get(newest.record["address"], 0),
                first_at=min(each.record["first_at"] for each in same),
                last_at=max(each.record["last_at"] for each in same),
                label=label,
                sampled_at=sample.sampled_at,
                fields=sample.fields,
                payload=None if sample.fields is not None or uplink is None else uplink.payload,
                port=uplink and uplink.port,
                parent=newest.record["parent"] if newest.record["part"] else None,
                registered_as=registered.get(sender),
                suggestions=_best(sample.suggestions, sender, label, profiles),
            )
        )
    return result


def _best(
    suggestions: Iterable[Suggestion], sender: Sender, label: Label, profiles: Mapping[str, DeviceProfile]
) -> tuple[Suggestion, ...]:
    """The best first: those that understand most.

    Of equals the one that is called like the network's model, or, of a device that speaks for itself, that of the
    platform's own words.
    """
    native = {native_profile(kind) for kind in KINDS} if not sender.network else set()
    model = set(_WORD.findall(label.model.lower()))

    def rank(suggestion: Suggestion) -> tuple[float, int, int, bool, str]:
        words = set(_WORD.findall(f"{suggestion.profile} {profiles[suggestion.profile].title}".lower()))
        share = suggestion.known / suggestion.fields
        return -share, -suggestion.known, -len(words & model), suggestion.profile not in native, suggestion.profile

    return tuple(sorted(suggestions, key=rank)[:_SUGGESTED])
