"""All settings: from flags, the environment (`USP_…`) or `.env`, checked once and frozen."""

import difflib
import os
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from usp.errors import SettingsError
from usp.models.broker import MqttVersion, parse_brokers
from usp.models.rate import DEFAULT_RATE, OFF, parse_rate
from usp.models.retention import parse_retention
from usp.models.token import FORM

PREFIX = "USP_"


class Settings(BaseSettings):
    """What can be set, and what is taken where nothing is set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", frozen=True, extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="TimescaleDB to use, postgresql://user:password@host:port/name. "
        "Without it, `usp demo` starts a private one.",
    )
    broker_url: str | None = Field(
        default=None,
        description="MQTT broker to use, mqtt:// or mqtts://user:password@host:port; several by comma. Each may "
        "carry options: ?version=3.1.1 or 5, shared=no where it knows no shared subscriptions, door=NAME (repeatable) "
        "to listen there only for mqtt, chirpstack or things_stack. Without it, `usp demo` starts a private one.",
    )
    broker_version: MqttVersion = Field(
        default=MqttVersion.V5,
        description="MQTT version to speak, 3.1.1 or 5. 5 opens the window of any broker; 3.1.1 costs less per "
        "message, where the broker's max_inflight_messages has been raised.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on.")
    rate_limit: str = Field(
        default=DEFAULT_RATE,
        description="Requests that one client may make of the API: a number for each second, minute, hour or day, or "
        f"{OFF}. A client is an IPv4 address or an IPv6 /64. This machine itself is limited only where this is set. "
        "Behind a proxy on another machine, name the proxy in FORWARDED_ALLOW_IPS: without it all its clients are one.",
    )
    retention: str | None = Field(
        default=None,
        description="How long raw readings are kept: 400d for all datasets, or noise=90d,wifi=30d,energy=forever,"
        "default=2y; 7d at least. Older ones are refused, and go by whole weeks; hourly partials stay. Without it, all "
        "stay for ever. The same for every process.",
    )
    map_tiles: str | None = Field(
        default=None,
        description="Raster tiles as the map's background, https://…/{z}/{x}/{y}.png. Without it, the map draws the "
        "streets it knows of, and browsers ask nobody but this platform.",
    )
    map_attribution: str = Field(default="", description="Whom the map names as the maker of the tiles.")
    ops_token: str | None = Field(
        default=None,
        description="A token with the scope ops that the page /ops uses by itself in a browser on this machine. `usp "
        "demo` makes a new one at each start; leave it unset elsewhere, and make tokens with `usp keys create`.",
    )
    data_dir: Path = Field(default=Path(".usp"), description="Where the private parts keep their data.")
    profiles_dir: Path | None = Field(
        default=None, description="Folder of device profiles to use beside those that are shipped."
    )

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
            shown = f"{parts.scheme}://…" if parts.scheme else "a text without a scheme"
            raise ValueError(f"got {shown}, expected postgresql://user:password@host:5432/usp")
        _ = parts.port  # urlsplit checks the port only when it is asked for
        return url

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, url: str | None) -> str | None:
        if not url:
            return None
        parse_brokers(url)
        return url

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, text: str) -> str:
        parse_rate(text)
        return text

    @field_validator("retention")
    @classmethod
    def _is_retention(cls, text: str | None) -> str | None:
        parse_retention(text)
        return text

    @field_validator("map_tiles")
    @classmethod
    def _is_tiles(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        plain = parts.netloc and not set(parts.netloc) & set(" ;,'\"*{}@")
        if parts.scheme not in {"https", "http"} or not plain or not all(f"{{{axis}}}" in url for axis in "zxy"):
            raise ValueError("expected an address as https://tiles.example.org/{z}/{x}/{y}.png")
        return url

    @field_validator("ops_token")
    @classmethod
    def _is_token(cls, token: str | None) -> str | None:
        if not token:
            return None
        if FORM.fullmatch(token) is None:
            raise ValueError("expected usp_ and 43 letters, digits, - or _, as `usp keys create` makes them")
        return token

    def require_database(self) -> str:
        """The database's URL, or an error that says how to give it."""
        if self.database_url is None:
            msg = "USP_DATABASE_URL is not set: give postgresql://user:password@host:5432/usp."
            raise SettingsError(msg)
        return self.database_url

    def require_broker(self) -> str:
        """The broker's URL, or an error that says how to give it."""
        if self.broker_url is None:
            raise SettingsError("USP_BROKER_URL is not set: give mqtt://user:password@host:1883.")
        return self.broker_url


def load_settings(**flags: object) -> Settings:
    """Read the settings; flags that are not None go over the environment, the environment over `.env`."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    seen = {key.upper(): key for key in (*dotenv_values(".env"), *os.environ) if key.upper().startswith(PREFIX)}
    for upper, key in sorted(seen.items()):
        if upper not in known:
            near = difflib.get_close_matches(upper, sorted(known), n=1, cutoff=0.0)
            raise SettingsError(f"{key} is not a setting; did you mean {near[0]}? `usp config` lists all of them.")
    try:
        return Settings(**{k: v for k, v in flags.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{name}: {reason}.") from None
