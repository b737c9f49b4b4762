"""What ChirpStack v4 publishes over MQTT, as JSON.

Fields and topics: chirpstack/chirpstack `api/proto/integration/integration.proto`, `api/proto/gw/gw.proto`. Messages of
the integration are written with their zeros, those of gateways within them without (`api/rust/build.rs`). Times are
the first gateway's GPS, else the server's own (`uplink/helpers.rs`), and one uplink's messages have the same time.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from usp_simulators.lorawan import (
    CLOCK_GATEWAY,
    CLOCK_NETWORK,
    GPS_AHEAD,
    GPS_EPOCH,
    SECOND,
    Envelope,
    Reception,
    Session,
    Station,
    Uplink,
    identifier,
    make_gateways,
    moment,
    written,
)

_LOCATION = {"latitude": 45.4466, "longitude": 9.2121, "altitude": 121.0}
#: The network server takes this long for each gateway after the first.
_EACH = 1_700_000


class ChirpStack:
    """One server with one application."""

    name = "chirpstack"

    def __init__(self, seed: int = 1) -> None:
        rng = Random(f"chirpstack/{seed}")
        self.gateways = make_gateways("chirpstack", 24)
        self._application, self._tenant, self._profile = (identifier(rng) for _ in range(3))
        self._rng = rng

    @staticmethod
    def address(station: Station, *, readable: bool = True) -> str:  # noqa: ARG004 - the topic tells it, too
        """The devEUI."""
        return station.eui or ""

    def up(self, uplink: Uplink) -> Envelope:
        """An uplink."""
        content = self._head(uplink.station, self._time(uplink)) | {
            "devAddr": uplink.session.dev_addr,
            "adr": True,
            "dr": 12 - uplink.spreading,
            "fCnt": uplink.counter,
            "fPort": uplink.port or 0,
            "confirmed": False,
            "data": base64.b64encode(uplink.payload).decode(),
            "object": None if uplink.fields is None else _struct(uplink.fields),
            "rxInfo": [self._received(reception, uplink, n) for n, reception in enumerate(uplink.heard)],
            "txInfo": {
                "frequency": uplink.frequency,
                "modulation": {
                    "lora": {"bandwidth": 125_000, "spreadingFactor": uplink.spreading, "codeRate": "CR_4_5"}
                },
            },
            "relayRxInfo": None,
            "joinServerContext": {"sessionKeyId": uplink.session.key_id.hex()} if uplink.encrypted else None,
            "regionConfigId": "eu868",
        }
        return self._topic(uplink.station, "up"), content

    def again(self, envelope: Envelope, uplink: Uplink) -> Envelope:
        """The gateways in another order: which one comes first is chance. Without GPS the first one's time counts."""
        topic, content = envelope
        if uplink.gps is None:
            return topic, dict(reversed(content.items()))
        return topic, content | {"rxInfo": content["rxInfo"][::-1]}

    def join(self, station: Station, session: Session, at: int) -> Envelope:
        """A join that was accepted."""
        more = {
            "devAddr": session.dev_addr,
            "relayRxInfo": None,
            "joinServerContext": None,
            "regionConfigId": "eu868",
        }
        return self._topic(station, "join"), self._head(station, at) | more

    def state(self, uplink: Uplink) -> tuple[Envelope, datetime] | None:
        """The answer to DevStatusReq goes out before the uplink that carried it, with the same time."""
        at = self._time(uplink)
        # A wrong time of it could not be known: the message has no other.
        if uplink.battery is None or abs(at - uplink.collected) > SECOND:
            return None
        more = {
            "margin": 10,
            "externalPowerSource": False,
            "batteryLevelUnavailable": False,
            "batteryLevel": uplink.battery,
        }
        return (self._topic(uplink.station, "status"), self._head(uplink.station, at) | more), moment(at)

    def events(self, uplink: Uplink) -> list[tuple[str, Envelope]]:
        """Downlinks and their fate, a log line, a place, an integration's answer; and what a later version adds."""
        head = self._head(uplink.station, uplink.collected)
        queued = {"queueItemId": identifier(self._rng), "fCntDown": uplink.counter % 100}
        retransmission = {
            "level": "WARNING",
            "code": "UPLINK_F_CNT_RETRANSMISSION",
            "description": "Uplink was flagged as re-transmission / frame-counter did not increment",
            "context": {"deduplication_id": head["deduplicationId"], "f_cnt_up": str(uplink.counter)},
        }
        found: list[tuple[str, dict[str, Any]]] = [
            ("txack", {"downlinkId": 3461958127, "gatewayId": uplink.best.gateway.eui} | queued),
            ("ack", {"acknowledged": True} | queued),
            ("log", retransmission),
            ("location", {"location": {"latitude": 45.4466, "longitude": 9.2121}}),
            ("integration", {"integrationName": "loracloud", "eventType": "modem_UplinkResponse", "object": {}}),
            ("relay", {}),
        ]
        return [
            (name if name != "relay" else "other", (self._topic(uplink.station, name), head | more))
            for name, more in found
        ]

    def time(self, uplink: Uplink) -> tuple[datetime, int]:
        """GPS, else the server's clock."""
        if uplink.gps is not None:
            return moment(uplink.gps), CLOCK_GATEWAY
        told = self._time(uplink)
        if abs(told - uplink.collected) < SECOND:
            return moment(told), CLOCK_NETWORK
        # A clock that is years off is not believed; then the server's moment of the first reception counts.
        first = next(n for n, reception in enumerate(uplink.heard) if not reception.damaged)
        return moment(_at_server(uplink, first)), CLOCK_NETWORK

    @staticmethod
    def health(uplink: Uplink) -> dict[str, float]:
        """Radio; the battery has a message of its own."""
        return uplink.radio

    @staticmethod
    def simulated(envelope: Envelope) -> Envelope | None:  # noqa: ARG004
        """It knows no such thing."""
        return None

    @staticmethod
    def _time(uplink: Uplink) -> int:
        """What it takes for the time of an uplink: it believes any GPS."""
        clocks = (reception.gateway.clock(reception.at) for reception in uplink.heard)
        return next((clock for clock in clocks if clock is not None), uplink.collected)

    def _topic(self, station: Station, event: str) -> str:
        return f"application/{self._application}/device/{station.eui}/event/{event}"

    def _head(self, station: Station, at: int) -> dict[str, Any]:
        info: dict[str, Any] = {
            "tenantId": self._tenant,
            "tenantName": "Comune",
            "applicationId": self._application,
            "applicationName": "Sensors",
            "deviceProfileId": self._profile,
            "deviceProfileName": station.profile,
            "deviceName": station.name,
            "devEui": station.eui,
            "deviceClassEnabled": "CLASS_A",
            "tags": {},
        }
        return {
            "deduplicationId": identifier(self._rng),
            "time": written(at, offset="+00:00"),
            "deviceInfo": info,
        }

    def _received(self, reception: Reception, uplink: Uplink, number: int) -> dict[str, Any]:
        gateway = reception.gateway
        found: dict[str, Any] = {"gatewayId": gateway.eui, "uplinkId": self._rng.getrandbits(32)}
        clock = gateway.clock(reception.at)
        if clock is not None:
            gps = clock - GPS_EPOCH + GPS_AHEAD
            found["gwTime"] = written(clock, offset="+00:00")
            found["timeSinceGpsEpoch"] = f"{gps // SECOND}.{gps % SECOND:09d}s"
        found["nsTime"] = written(_at_server(uplink, number), offset="+00:00")
        found |= {
            "rssi": reception.rssi,
            "snr": reception.snr,
            "channel": uplink.frequency // 100_000 % 8,
            "rfChain": uplink.frequency // 500_000 % 2,
            "location": _LOCATION | {"source": "GPS" if gateway.gps else "CONFIG"},
            "context": "E3OWOQ==",
            "metadata": {"region_common_name": "EU868", "region_config_id": "eu868"},
            "crcStatus": "BAD_CRC" if reception.damaged else "CRC_OK",
        }
        return {name: value for name, value in found.items() if value != 0}


def _at_server(uplink: Uplink, number: int) -> int:
    """When the server heard of the n-th reception."""
    return uplink.sent + 90_000_000 + number * _EACH


def _struct(value: Any) -> Any:
    """A google.protobuf.Struct knows no whole numbers."""
    if isinstance(value, Mapping):
        return {name: _struct(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_struct(inner) for inner in value]
    return float(value) if type(value) is int else value
