"""JSON Schemas of answers that are single documents: one dataset, device or site, and how the platform is doing."""

from typing import Any

from usp.api.schemas import COUNT, TEXT, TIME, listing
from usp.models.dataset import Aggregation, ValueType
from usp.models.device import KINDS

Spec = dict[str, Any]

_NUMBER: Spec = {"type": "number"}
_BOOLEAN: Spec = {"type": "boolean"}
_NAMES: Spec = {"type": "array", "items": TEXT}
_COUNTS: Spec = {"type": "object", "additionalProperties": COUNT}


def _or_null(spec: Spec) -> Spec:
    return {**spec, "type": [spec["type"], "null"]}


def _all(title: str, /, **properties: Spec) -> Spec:
    """A document that always has all of these."""
    return {"type": "object", "title": title, "required": list(properties), "properties": properties}


def _some(title: str, required: tuple[str, ...], /, **properties: Spec) -> Spec:
    """A document that always has those required; what is not known is left out."""
    return {"type": "object", "title": title, "required": list(required), "properties": properties}


_SPAN = {"first": TIME, "last": TIME}
_PROPERTY = _some(
    "Property",
    ("name", "title", "type", "aggregation"),
    name=TEXT,
    title=TEXT,
    unit=TEXT,
    type={**TEXT, "enum": [t.value for t in ValueType]},
    aggregation={**TEXT, "enum": [a.value for a in Aggregation]},
    weight={**TEXT, "description": "The property by which a mean is weighted."},
    range={
        "type": "object",
        "properties": {"min": _or_null(_NUMBER), "max": _or_null(_NUMBER)},
        "description": "What is plausible; beyond it a value is flagged.",
    },
    states=_NAMES,
)
_DATASET = _all(
    "Dataset",
    name=TEXT,
    title=TEXT,
    description=TEXT,
    licence={**TEXT, "description": "SPDX identifier."},
    attribution=TEXT,
    kinds=_NAMES,
    interval={**_BOOLEAN, "description": "Whether `time` is the start of an interval, `period` seconds long."},
    extent=_or_null({"type": "object", "properties": _SPAN, "required": list(_SPAN)}),
    properties={"type": "array", "items": _PROPERTY},
)
_PLACE: Spec = {
    "site": TEXT,
    "lon": {**_NUMBER, "description": "Degrees, WGS 84."},
    "lat": {**_NUMBER, "description": "Degrees, WGS 84."},
    "approximate": _BOOLEAN,
}
_PLACEMENT = _some("Placement", (), **_PLACE, **{"from": TIME, "to": TIME})
_DEVICE = _some(
    "Device",
    ("device", "kind", "profile", "registered_at", "datasets", "place", "placements", "children"),
    device=TEXT,
    title=TEXT,
    kind={**TEXT, "enum": list(KINDS)},
    category=TEXT,
    profile=TEXT,
    parent=TEXT,
    interval={**_NUMBER, "description": "Seconds between two readings."},
    registered_at=TIME,
    retired_at=TIME,
    datasets={"type": "array", "items": _some("Reported", ("dataset",), dataset=TEXT, last_time=TIME)},
    place=_or_null(_PLACEMENT),
    placements={"type": "array", "items": _PLACEMENT},
    children=_NAMES,
)
_SITE = _some("Site", ("site", "devices"), **_PLACE, title=TEXT, address=TEXT, devices=_NAMES)

_CHECK = _all("Dependency", status={**TEXT, "enum": ["ok", "failing"]}, critical=_BOOLEAN, detail=TEXT)
_RATES = _all("Per second, over as many minutes", **dict.fromkeys(("1m", "5m", "60m"), _NUMBER))
_ITEMS: Spec = dict.fromkeys(("received", "stored", "duplicate", "rejected", "events", "values_refused"), COUNT)
_DELAYS: Spec = {
    "last_event": _or_null(TIME),
    "delay_p50_s": _or_null(_NUMBER),
    "delay_p95_s": _or_null(_NUMBER),
    "delay_over_3600_s": COUNT,
}
_DEVICES: Spec = dict.fromkeys(("expected", "reporting", "silent"), COUNT)
_KIND = _all("Kind", **_DEVICES, **_ITEMS, rejected_by_reason=_COUNTS, rates=_RATES, **_DELAYS)
_STORED = _all("Rows", rows=COUNT, row_rates=_RATES, **_DELAYS)
_WORKER = _all(
    "Worker", slot=COUNT, started_at=TIME, heartbeat_at=TIME, in_flight=COUNT, connected=_BOOLEAN, alive=_BOOLEAN
)
_INGEST = _all(
    "Figures of ingest",
    totals=_all("Items", **_ITEMS, in_flight=COUNT),
    rejected_by_reason=_COUNTS,
    values_refused_by_reason=_COUNTS,
    events_by_kind=_COUNTS,
    rates=_RATES,
    kinds={"type": "object", "additionalProperties": _KIND},
    datasets={"type": "object", "additionalProperties": _STORED},
    workers={"type": "array", "items": _WORKER},
)

_SHARE = _or_null(
    {**_NUMBER, "minimum": 0, "description": "Of the rows expected, or of the time in which it is known."}
)
_RAW: Spec = {
    "from": {**TIME, "description": "Raw rows before this are not looked at, or gone."},
    "rows": COUNT,
    "late": {**COUNT, "description": "Rows that came more than an hour after they were measured."},
    "delay_p50_s": _or_null(_NUMBER),
    "delay_p95_s": _or_null(_NUMBER),
    "time": _all(
        "Whose clock told the time, in rows", **dict.fromkeys(("device", "arrival", "network", "gateway"), COUNT)
    ),
}
_COUNTED: Spec = {"property": TEXT, "count": COUNT, "flagged": COUNT, "bottom_coded": COUNT}
_NEEDED = ("property", "count", "flagged")
_STUCK = _all("A value that does not change", value=_NUMBER, since=TIME, readings=COUNT)
_FRESH: Spec = {"last_time": _or_null(TIME), "age_s": _or_null(_NUMBER)}
_COMPLETE: Spec = {"count": COUNT, "expected": _or_null(COUNT), "completeness": _SHARE, "flagged": COUNT}
_OF_DAYS: Spec = {**COUNT, "description": "Items, on the days of UTC that meet the window."}
_ITEMS_OF_DAYS: Spec = {"duplicate": _OF_DAYS, "rejected": _OF_DAYS}
_RADIO = _all(
    "Frames by radio, for operators",
    frames=COUNT,
    compared=COUNT,
    frames_lost=COUNT,
    share_lost=_or_null(_NUMBER),
)
_FLAGS: Spec = {"type": "object", "additionalProperties": TEXT, "description": "The flags that occur, in words."}
_OF_DEVICE = _all(
    "Quality of a dataset of a device",
    dataset=TEXT,
    **_FRESH,
    **_COMPLETE,
    raw=_all("Figures of raw rows", **_RAW),
    properties={"type": "array", "items": _some("Quality of a property", _NEEDED, **_COUNTED, stuck=_STUCK)},
)
_FAULTS = ("silent", "incomplete", "stuck", "flagged")
_WORST = _all(
    "A device with faults",
    device=TEXT,
    why={"type": "array", "items": {**TEXT, "enum": list(_FAULTS)}},
    last_time=TIME,
    completeness=_SHARE,
    flagged=COUNT,
    stuck=_NAMES,
)
_WINDOW: Spec = {"from": TIME, "to": TIME}
_DEVICE_QUALITY = _some(
    "Quality of a device",
    ("device", "from", "to", "duplicate", "rejected", "datasets", "flags"),
    device=TEXT,
    **_WINDOW,
    **_ITEMS_OF_DAYS,
    radio=_RADIO,
    datasets={"type": "array", "items": _OF_DEVICE},
    flags=_FLAGS,
)
_DATASET_QUALITY = _some(
    "Quality of a dataset",
    ("dataset", "from", "to", "devices", *_FRESH, *_COMPLETE, "raw", "properties", *_ITEMS_OF_DAYS, "worst", "flags"),
    dataset=TEXT,
    **_WINDOW,
    devices=_all("Devices", **_DEVICES, flagged=COUNT, stuck=COUNT),
    **_FRESH,
    **_COMPLETE,
    raw=_all("Figures of raw rows", devices={**COUNT, "description": "How many devices they are of."}, **_RAW),
    properties={
        "type": "array",
        "items": _some("Quality of a property", (*_NEEDED, "stuck_devices"), **_COUNTED, stuck_devices=COUNT),
    },
    **_ITEMS_OF_DAYS,
    radio=_RADIO,
    worst={"type": "array", "items": _WORST},
    flags=_FLAGS,
)

#: What each address answers.
DOCUMENTS: dict[str, Spec] = {
    "datasets": listing(_DATASET),
    "dataset": _DATASET,
    "dataset_quality": _DATASET_QUALITY,
    "device": _DEVICE,
    "device_quality": _DEVICE_QUALITY,
    "site": _SITE,
    "live": _all("Liveness", status={**TEXT, "const": "alive"}),
    "ready": _all(
        "Readiness",
        status={**TEXT, "const": "ready"},
        dependencies={"type": "object", "additionalProperties": _CHECK},
    ),
    "ingest": _INGEST,
}
