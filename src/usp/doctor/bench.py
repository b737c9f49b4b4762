"""The doctor's own clients and topics at a broker, and their end."""

import secrets
from contextlib import suppress
from dataclasses import dataclass

from usp.doctor.findings import Patience
from usp.doctor.mqtt import Client
from usp.errors import UspError
from usp.models.broker import Broker, MqttVersion

#: Where a broker lets the doctor's account write and read, its limits can be tried.
TOPICS = "usp/doctor"
#: What a doctor that was killed has left at a broker of MQTT 5 is gone after so long.
SESSION_EXPIRY_S = 120
CLEANING_S = 3.0


@dataclass(frozen=True)
class Limits:
    """How far limits are tried out, in messages."""

    #: More than any window that is asked for.
    window: int = 25_000
    #: Beyond what brokers keep unless told otherwise (1,000).
    queue: int = 5_000


class Bench:
    """Everything here has one random name, so that two doctors do not meet each other or anything else."""

    def __init__(self, broker: Broker, spoken: MqttVersion, patience: Patience, limits: Limits) -> None:
        self.broker = broker
        #: What ingest speaks.
        self.spoken = spoken
        self.patience = patience
        self.limits = limits
        self.name = secrets.token_hex(4)
        self.root = f"{TOPICS}/{self.name}"
        #: What each version of MQTT was answered: nothing where it was accepted.
        self.answers: dict[MqttVersion, str] = {}
        #: Whether what the doctor sends comes back to it.
        self.usable = False
        #: Seconds from sending to receiving.
        self.latency = 0.0
        self._clients: list[Client] = []
        self._sessions: dict[str, MqttVersion] = {}

    @property
    def account(self) -> str:
        """Who connects."""
        return "anonymous clients" if self.broker.user is None else f"the account {self.broker.user}"

    @property
    def accepted(self) -> list[MqttVersion]:
        """The versions that the broker speaks."""
        return [version for version, answer in self.answers.items() if not answer]

    @property
    def best(self) -> MqttVersion:
        """The version that tells more."""
        return MqttVersion.V5 if MqttVersion.V5 in self.accepted else MqttVersion.V311

    def client(self, role: str, version: MqttVersion | None = None, *, hold: bool = False) -> Client:
        """Connect a client whose session ends with its connection."""
        client = Client(self.broker, f"usp-doctor-{self.name}-{role}", version or self.best, self.patience, hold=hold)
        return self._connected(client)

    def sender(self) -> Client:
        """Connect a client that sends much. MQTT 5 would tie it to the broker's window, which may be small."""
        return self.client("p", MqttVersion.V311 if MqttVersion.V311 in self.accepted else MqttVersion.V5)

    def session(self, role: str, *, clean: bool, expiry: int = SESSION_EXPIRY_S) -> Client:
        """Connect a client whose session stays when it leaves; `clean` begins a new one."""
        version = self.best
        # MQTT 3.1.1 has one bit for both: a session that stays is one that is asked for without it.
        clean = clean and version is MqttVersion.V5
        name = f"usp-doctor-{self.name}-{role}"
        self._sessions[name] = version
        client = Client(self.broker, name, version, self.patience, clean=clean, expiry=expiry)
        return self._connected(client)

    def _connected(self, client: Client) -> Client:
        self._clients.append(client)
        client.connect()
        return client

    def leave(self, client: Client) -> None:
        """Disconnect a client; a session that was to stay stays."""
        client.close()
        self._clients.remove(client)

    def forget(self, client: Client) -> None:
        """Disconnect a client and let the broker forget its session."""
        self.leave(client)
        self._end_session(client.id, self.patience)

    def _end_session(self, name: str, patience: Patience) -> None:
        # A connection that begins anew and keeps nothing ends whatever was kept under its name. To say so at the end
        # of the old one is not enough: while a message is on its way to us, TCP may throw away our last words.
        client = Client(self.broker, name, self._sessions[name], patience)
        try:
            client.connect()
        finally:
            client.close()
        del self._sessions[name]

    def clean(self) -> list[str]:
        """End everything that is left, whatever time is over; the sessions that may still be there."""
        patience = Patience(CLEANING_S)
        for client in self._clients:
            with suppress(OSError, UspError, ValueError):
                client.close()
        for name in list(self._sessions):
            with suppress(OSError, UspError, ValueError):
                self._end_session(name, patience)
        return list(self._sessions)
