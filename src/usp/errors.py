"""One tree of errors. The docstring of an error is its message; a detail may be added where it is raised."""


class UspError(Exception):
    """The urban sharing platform could not do what was asked."""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        super().__init__(detail)

    @property
    def message(self) -> str:
        """The error's fixed sentence, without the detail."""
        return " ".join((type(self).__doc__ or "").split())

    def __str__(self) -> str:
        return f"{self.message} {self.detail}".strip()


class SettingsError(UspError):
    """A setting cannot be used."""


class RegistryError(UspError):
    """The registry refuses this device, site or placement."""


class ListError(RegistryError):
    """The file is no list of devices or sites."""


class ProfileError(UspError):
    """A device profile cannot be used."""


class CodecError(UspError):
    """A payload codec cannot be used."""


class ReplayRuns(UspError):
    """Another replay is under way; wait until it has ended."""


class QueryError(UspError):
    """The request cannot be answered as asked."""

    def __init__(self, detail: str = "", *, parameter: str = "") -> None:
        super().__init__(detail)
        self.parameter = parameter


class NotFound(UspError):
    """There is nothing of this name."""


class DatabaseUnavailable(UspError):
    """The database does not answer."""


class BrokerUnavailable(UspError):
    """The MQTT broker does not answer."""
