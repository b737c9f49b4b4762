"""Bad news, brought beside the good."""

from typing import NamedTuple

from usp.models.reasons import Reason


class Refusal(NamedTuple):
    """Why an item or one of its values is not stored. `detail` names what was found and what would be right."""

    reason: Reason
    detail: str = ""
    field: str = ""
    dataset: str = ""


class Refused(Exception):
    """No part of the item can be stored."""

    def __init__(self, reason: Reason, detail: str = "", field: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, detail, field)


def shown(value: object) -> str:
    """A value as an error message shows it: short, on one line, however large or deep it is."""
    if isinstance(value, list | dict):
        return f"an array of {len(value)}" if isinstance(value, list) else f"an object of {len(value)} fields"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "…"
