"""The doors, one file each: a bridge turns a message's bytes into items and knows who speaks."""

from collections.abc import Sequence

from usp.ingest.bridges.bridge import Bridge
from usp.ingest.bridges.chirpstack import ChirpStackBridge
from usp.ingest.bridges.mqtt_native import NativeBridge
from usp.ingest.bridges.things_stack import ThingsStackBridge

BRIDGES: tuple[Bridge, ...] = (NativeBridge(), ChirpStackBridge(), ThingsStackBridge())


def bridge_of(topic: str, bridges: Sequence[Bridge] = BRIDGES) -> Bridge:
    """The bridge that reads the topic; the first one also answers for topics that are nobody's."""
    for bridge in bridges:
        if topic.startswith(bridge.prefix):
            return bridge
    return bridges[0]
