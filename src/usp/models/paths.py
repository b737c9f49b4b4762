"""Names of payload fields that lead into nested objects and arrays: `air.pm25`, `lanes[0].count`."""

import re

#: Keys with dots between them, and indexes in brackets. What does not look like this is one plain key.
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d{1,6}\])*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_INSIDE = re.compile(r"[.\[]")
#: What stands in no path and in no sensible key: dots with nothing between them, brackets with a number or nothing.
_BROKEN = re.compile(r"^\.|\.\.|\.\[|\[\s*-?\d*\s*\]")
_INDEX = re.compile(r"\[\s*(\d{1,6})(?!\d)\s*\]?")

#: A key of an object, or an index of an array.
Step = str | int


def steps(name: str) -> tuple[Step, ...]:
    """The keys and indexes on the way to a field; a name that is no path is a key as it stands."""
    if _PATH.fullmatch(name) is None:
        return (name,)
    return tuple(int(index) if index else key for index, key in _STEP.findall(name))


def broken_path(name: str, index: str = "[0]") -> str | None:
    """What is wrong with a name that ought to be a path, with what would be right; None for a path or a plain key.

    `T [C]` is a plain key, and `lanes[]` is none. `index` is what empty brackets may have meant.
    """
    if _PATH.fullmatch(name) is not None or not (_BROKEN.search(name) or _unbalanced(name)):
        return None
    better = _INDEX.sub(r"[\1]", re.sub(r"\[\s*\]", index, name))
    better = re.sub(r"\.(?=\.|\[)", "", better).lstrip(".")
    fine = _PATH.fullmatch(better.removesuffix("[*]")) is not None
    return f"{name!r} is no path; " + (f"did you mean {better}?" if fine else "lanes[0].count is one")


def _unbalanced(name: str) -> bool:
    brackets = "".join(character for character in name if character in "[]")
    return brackets.replace("[]", "") != ""


def is_path(name: str) -> bool:
    """Whether a field's name may lead into something nested."""
    return _INSIDE.search(name) is not None and _PATH.fullmatch(name) is not None
