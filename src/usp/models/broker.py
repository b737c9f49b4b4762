"""Where devices are listened to: one or several MQTT brokers, each with how it wants to be spoken to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PORTS = {"mqtt": 1883, "mqtts": 8883}
_SHOWN = "mqtt://user:password@host:1883"


class MqttVersion(StrEnum):
    """A version of MQTT."""

    V311 = "3.1.1"
    V5 = "5"


@dataclass(frozen=True, kw_only=True)
class Broker:
    """One broker.

    `version` is None where the setting decides. `shared` says whether it knows shared subscriptions (MQTT 5, 4.8.2),
    by which several workers divide the messages; without them each gets all. `doors` are those that stand open there;
    empty means all.
    """

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None
    version: MqttVersion | None = None
    shared: bool = True
    doors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it is shown; without the password."""
        return f"{self.host}:{self.port}"


def parse_brokers(text: str) -> list[Broker]:
    """Brokers from URLs separated by commas. Raises ValueError that says what is wrong and what would be right."""
    brokers = [_parse(url.strip()) for url in text.split(",")]
    accounts = [(b.host, b.port, b.user) for b in brokers]
    if len(set(accounts)) < len(accounts):
        raise ValueError("the same broker and user are listed twice")
    return brokers


def _parse(url: str) -> Broker:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        shown = f"{parts.scheme}://…" if parts.scheme else "a text without a scheme"
        raise ValueError(f"got {shown}, expected {_SHOWN}")
    if parts.path.strip("/"):
        raise ValueError(f"got the path {parts.path!r}, expected {_SHOWN}")
    options = parse_qs(parts.query, keep_blank_values=True)
    return Broker(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        **_options(options),
    )


def _options(given: dict[str, list[str]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, values in given.items():
        match name, values[-1]:
            case "version", "3.1.1" | "5" as version:
                options["version"] = MqttVersion(version)
            case "shared", "yes" | "no" as shared:
                options["shared"] = shared == "yes"
            case "door", _:
                options["doors"] = tuple(values)
            case _, value:
                raise ValueError(
                    f"got the option {name}={value}; expected version=3.1.1 or 5, shared=yes or no, door=NAME"
                )
    return options
