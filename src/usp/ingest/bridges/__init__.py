"""The doors, one file each: a bridge turns a message's bytes into items and knows who speaks."""

from usp.ingest.bridges.bridge import Bridge
from usp.ingest.bridges.mqtt_native import NativeBridge

BRIDGES: tuple[Bridge, ...] = (NativeBridge(),)
