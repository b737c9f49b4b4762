"""Names of payload fields that lead into nested objects and arrays: `air.pm25`, `lanes[0].count`."""

import re

#: Keys with dots between them, and indexes in brackets. What does not look like this is one plain key.
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d{1,6}\])*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_INSIDE = re.compile(r"[.\[]")

#: A key of an object, or an index of an array.
Step = str | int


def steps(name: str) -> tuple[Step, ...]:
    """The keys and indexes on the way to a field; a name that is no path is a key as it stands."""
    if _PATH.fullmatch(name) is None:
        return (name,)
    return tuple(int(index) if index else key for index, key in _STEP.findall(name))


def is_path(name: str) -> bool:
    """Whether a field's name may lead into something nested."""
    return _INSIDE.search(name) is not None and _PATH.fullmatch(name) is not None
