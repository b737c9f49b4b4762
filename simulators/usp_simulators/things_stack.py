"""What The Things Stack v3 publishes over MQTT, as JSON.

Fields: TheThingsIndustries/lorawan-stack-docs `doc/data/api/ttn.lorawan.v3/messages`; topics: TheThingsNetwork/
lorawan-stack `pkg/applicationserver/io/mqtt/topics/v3.go`. Whatever is 0, false or empty is left out, everywhere.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from usp_simulators.lorawan import (
    CLOCK_GATEWAY,
    CLOCK_NETWORK,
    Envelope,
    Reception,
    Session,
    Station,
    Uplink,
    make_gateways,
    moment,
    written,
)

#: The digits of `gps_time`: milliseconds.
_GPS_CUT = 1_000_000
#: From the network server to the application server.
_ONWARDS = 203_000_000
_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ThingsStack:
    """One application of one tenant; without a tenant it is the open source edition."""

    name = "things_stack"

    def __init__(self, seed: int = 1, *, application: str = "sensors", tenant: str = "comune") -> None:
        self.gateways = make_gateways("things-stack", 24)
        self._application = application
        self._tenant = tenant
        self._rng = Random(f"things_stack/{seed}")

    def address(self, station: Station, *, readable: bool = True) -> str:
        """The devEUI, which only the message tells; else the names in the topic."""
        return station.eui if station.eui and readable else f"{self._application}/{station.name}"

    def up(self, uplink: Uplink) -> Envelope:
        """An uplink."""
        content = {
            "session_key_id": base64.b64encode(uplink.session.key_id).decode(),
            "f_port": uplink.port,
            "f_cnt": uplink.counter,
            "frm_payload": base64.b64encode(uplink.payload).decode(),
            "decoded_payload": uplink.fields,
            # What was received with a wrong checksum does not get here.
            "rx_metadata": [self._received(each, uplink) for each in uplink.heard if not each.damaged],
            "settings": {
                "data_rate": {
                    "lora": {"bandwidth": 125_000, "spreading_factor": uplink.spreading, "coding_rate": "4/5"}
                },
                # 64 bits are text in Protocol Buffers' JSON.
                "frequency": str(uplink.frequency),
                "timestamp": uplink.sent // 1_000 % 2**32,
            },
            "received_at": written(uplink.collected),
            "consumed_airtime": "0.061696s",
            "version_ids": {
                "brand_id": uplink.station.maker[0],
                "model_id": uplink.station.maker[1],
                "band_id": "EU_863_870",
            },
            "network_ids": {"net_id": "000013", "tenant_id": self._tenant, "cluster_id": "eu1"},
            "app_s_key": {"encrypted_key": "aAixKtmNZUKQXd4GqpHDsw=="} if uplink.encrypted else None,
        }
        if uplink.battery is not None:
            content["last_battery_percentage"] = {
                "f_cnt": uplink.counter, "value": uplink.battery, "received_at": written(uplink.collected)
            }  # fmt: skip
        head = self._head(uplink.station, uplink.session, uplink.collected + _ONWARDS)
        return self._topic(uplink.station, "up"), _without_zeros(head | {"uplink_message": content})

    def again(self, envelope: Envelope, uplink: Uplink) -> Envelope:
        """As the Storage Integration keeps it: handled once more, a little later."""
        topic, content = envelope
        later = {"received_at": written(uplink.collected + 2 * _ONWARDS), "correlation_ids": [self._ulid("as:up:")]}
        return topic, content | later

    def join(self, station: Station, session: Session, at: int) -> Envelope:
        """A join that was accepted."""
        accept = {
            "session_key_id": base64.b64encode(session.key_id).decode(),
            "received_at": written(at),
        }
        return self._topic(station, "join"), self._head(station, session, at + _ONWARDS) | {"join_accept": accept}

    @staticmethod
    def state(uplink: Uplink) -> tuple[Envelope, datetime] | None:  # noqa: ARG004
        """The battery stands in the uplink."""
        return None

    def events(self, uplink: Uplink) -> list[tuple[str, Envelope]]:
        """Downlinks and their fate, the uplink in another form, a place; and what a later version adds."""
        head = self._head(uplink.station, uplink.session, uplink.collected + _ONWARDS)
        downlink = {"f_port": 15, "f_cnt": uplink.counter % 100, "frm_payload": "vu8=", "priority": "NORMAL"}
        found: list[tuple[str, str, dict[str, Any]]] = [
            ("down_queued", "down/queued", {"downlink_queued": downlink}),
            ("down_sent", "down/sent", {"downlink_sent": downlink}),
            ("down_ack", "down/ack", {"downlink_ack": downlink}),
            ("down_nack", "down/nack", {"downlink_nack": downlink}),
            ("up_normalized", "up/normalized", {"uplink_normalized": {"f_cnt": uplink.counter}}),
            ("location_solved", "location/solved", {"location_solved": {"service": "lora-cloud-geolocation-v3"}}),
            ("service_data", "service/data", {"service_data": {"service": "lora-cloud", "data": {}}}),
            ("other", "down/replaced", {}),
        ]
        return [(kind, (self._topic(uplink.station, last), _without_zeros(head | more))) for kind, last, more in found]

    @staticmethod
    def time(uplink: Uplink) -> tuple[datetime, int]:
        """GPS, else the network server's clock."""
        if uplink.gps is not None:
            return moment(uplink.gps, _GPS_CUT), CLOCK_GATEWAY
        return moment(uplink.collected), CLOCK_NETWORK

    @staticmethod
    def health(uplink: Uplink) -> dict[str, float]:
        """Radio, and the battery in the message whose frame told it."""
        return uplink.radio if uplink.battery is None else uplink.radio | {"battery": uplink.battery}

    @staticmethod
    def simulated(envelope: Envelope) -> Envelope | None:
        """Made up in the console."""
        return envelope[0], envelope[1] | {"simulated": True}

    def _topic(self, station: Station, last: str) -> str:
        application = f"{self._application}@{self._tenant}" if self._tenant else self._application
        return f"v3/{application}/devices/{station.name}/{last}"

    def _head(self, station: Station, session: Session, at: int) -> dict[str, Any]:
        ids = {
            "device_id": station.name,
            "application_ids": {"application_id": self._application},
            "dev_eui": station.eui and station.eui.upper(),
            "join_eui": station.eui and "800000000000000C",
            "dev_addr": session.dev_addr.upper(),
        }
        return {
            "end_device_ids": {name: value for name, value in ids.items() if value},
            "correlation_ids": [self._ulid("as:up:"), self._ulid("gs:uplink:")],
            "received_at": written(at),
        }

    def _received(self, reception: Reception, uplink: Uplink) -> dict[str, Any]:
        gateway = reception.gateway
        clock = gateway.clock(reception.at)
        found = {
            "gateway_ids": {"gateway_id": gateway.name, "eui": gateway.eui.upper()},
            "time": None if clock is None else written(clock),
            "timestamp": uplink.sent // 1_000 % 2**32,
            "rssi": reception.rssi,
            "channel_rssi": reception.rssi,
            "snr": reception.snr,
            "uplink_token": "ChcKFQoJdHRpZw==",
            "channel_index": uplink.frequency // 100_000 % 8,
            "received_at": written(uplink.sent + 60_000_000),
        }
        if clock is not None:
            found["gps_time"] = written(clock, digits=3)
        return found

    def _ulid(self, prefix: str) -> str:
        return prefix + "".join(self._rng.choices(_ULID, k=26))


def _without_zeros(message: Mapping[str, Any]) -> dict[str, Any]:
    """Protocol Buffers' JSON; what the device says stands apart, there 0 and false are values."""
    found: dict[str, Any] = {}
    for name, value in message.items():
        inner = value
        if name == "rx_metadata":
            inner = [_without_zeros(each) for each in value]
        elif isinstance(value, Mapping) and name != "decoded_payload":
            inner = _without_zeros(value)
        if name == "decoded_payload" and value is not None:
            found[name] = dict(value)
        elif inner not in (None, 0, "", [], {}):
            found[name] = inner
    return found
