"""Bring a database to this version's schema, with Alembic's revisions from `migrations/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from usp.errors import UspError

_PACKAGE = Path(__file__).parent
#: Inside an installed wheel, or at the top of a checkout.
MIGRATIONS = next(
    (p for p in (_PACKAGE / "migrations", _PACKAGE.parents[1] / "migrations") if p.is_dir()),
    _PACKAGE / "migrations",
)


class MigrationError(UspError):
    """The database could not be migrated."""


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    # ConfigParser reads % as an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["database_url"] = database_url
    return config


def head_revision() -> str:
    """The newest revision this version knows."""
    head = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    if head is None:
        raise MigrationError("No revision was found beside the program.")
    return head


def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade to `revision`; in one transaction, so that a failure changes nothing."""
    try:
        command.upgrade(alembic_config(database_url), revision)
    except DBAPIError as error:
        detail = str(error.orig).removeprefix(f"{type(error.orig)}: ").strip()
        raise MigrationError(
            f"{detail[:1].upper()}{detail[1:]}. What the account needs stands in docs/operations.md."
        ) from error


def downgrade(database_url: str, revision: str) -> None:
    """Go back to `revision` ("base" is an empty database); used by tests and by people in need."""
    command.downgrade(alembic_config(database_url), revision)
