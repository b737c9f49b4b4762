"""The native door: `usp/v1/{device_id}/up` carries one JSON object, or an array of them."""

import orjson

from usp.ingest.bridges.bridge import Label, Readings, Sender
from usp.ingest.refusal import Refused, shown
from usp.models.reasons import Reason

_PREFIX = "usp/v1/"
_SUFFIX = "/up"
#: Items in one array; what is written in one transaction stays small.
MAX_ITEMS = 10_000


class NativeBridge:
    """Readings in the vocabulary's own names, or in those of the device's profile."""

    door = "mqtt"
    prefix = _PREFIX
    # All of it, so that a reading on a mistyped topic is refused instead of never seen.
    subscriptions = (_PREFIX + "#",)

    @staticmethod
    def sender(topic: str) -> Sender:
        """The device's name as the topic gives it; empty where there is none."""
        return Sender("", topic[len(_PREFIX) :].split("/", 1)[0])

    def unwrap(self, topic: str, payload: bytes) -> Readings:
        """Whatever stands in the array, each an item."""
        address = topic[len(_PREFIX) : -len(_SUFFIX)]
        if not topic.endswith(_SUFFIX) or not topic.startswith(_PREFIX) or not address or "/" in address:
            raise Refused(Reason.WRONG_TOPIC, f"Got {shown(topic)}, expected usp/v1/{{device_id}}/up.")
        try:
            decoded = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise Refused(Reason.NOT_JSON, f"{error}.") from None
        if type(decoded) is list:
            if not decoded:
                raise Refused(Reason.NOT_AN_OBJECT, "The array is empty.")
            if len(decoded) > MAX_ITEMS:
                raise Refused(Reason.TOO_LARGE, f"Got an array of {len(decoded):,}.")
            return Readings(Sender("", address), decoded)
        return Readings(Sender("", address), [decoded])

    @staticmethod
    def label(payload: bytes) -> Label:  # noqa: ARG004 - a device that speaks for itself has no other name
        """Nothing."""
        return Label()
