"""The doors, one file each: a bridge turns a message's bytes into items and knows who speaks."""

from usp.ingest.bridges.bridge import Bridge
from usp.ingest.bridges.chirpstack import ChirpStackBridge
from usp.ingest.bridges.mqtt_native import NativeBridge
from usp.ingest.bridges.things_stack import ThingsStackBridge

BRIDGES: tuple[Bridge, ...] = (NativeBridge(), ChirpStackBridge(), ThingsStackBridge())
