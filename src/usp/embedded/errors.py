"""What can go wrong with the private parts."""

from usp.errors import UspError


class EmbeddedUnavailable(UspError):
    """No private database and broker can be set up here; give USP_DATABASE_URL and USP_BROKER_URL, or use docker compose."""  # noqa: E501


class EmbeddedFailed(UspError):
    """A private part did not start."""


class FolderInUse(UspError):
    """Another process is using this data folder."""
