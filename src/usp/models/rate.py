"""How often one client may ask: a number in a time, as people write it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limits import RateLimitItem

DEFAULT_RATE = "1200/minute"
#: Where something else, such as a proxy, sees to it.
OFF = "off"


def parse_rate(text: str) -> "RateLimitItem | None":
    """The limit, None for `off`; ValueError says what would be right."""
    from limits import parse_many  # noqa: PLC0415 - it takes longer to import than most commands run

    if text.strip().lower() == OFF:
        return None
    wrong = f"got {text!r}, expected requests in a time, such as 1200/minute, 20/second or 5000/hour, or {OFF}"
    try:
        (limit,) = parse_many(text)
    except ValueError:
        raise ValueError(wrong) from None
    if limit.amount < 1 or limit.get_expiry() < 1:
        raise ValueError(wrong)
    return limit
