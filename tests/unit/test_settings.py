"""Settings are checked once, and a mistake in them is one clear line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from usp.errors import SettingsError
from usp.settings import load_settings


def test_an_unknown_setting_names_the_nearest(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is an error, not a silent default."""
    monkeypatch.setenv("USP_DATABSE_URL", "postgresql://localhost/usp")
    with pytest.raises(SettingsError, match="USP_DATABSE_URL is not a setting; did you mean USP_DATABASE_URL"):
        load_settings()


def test_an_unknown_setting_in_the_env_file_too(here: Path) -> None:
    """The file .env is held to the same rule."""
    (here / ".env").write_text("USP_PORT=1\n")
    with pytest.raises(SettingsError, match="USP_PORT is not a setting; did you mean USP_API_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("USP_DATABASE_URL", "mysql://h/d", r"USP_DATABASE_URL: got mysql://…, expected postgresql://"),
        ("USP_DATABASE_URL", "localhost", r"USP_DATABASE_URL: got a text without a scheme"),
        ("USP_BROKER_URL", "tcp://h:1883", r"USP_BROKER_URL: got tcp://…, expected mqtt://"),
        ("USP_BROKER_URL", "mqtt://h:99999", r"USP_BROKER_URL: .*[Pp]ort"),
        ("USP_BROKER_VERSION", "4", r"USP_BROKER_VERSION: .*'3.1.1' or '5'"),
        ("USP_API_PORT", "http", r"USP_API_PORT: .*integer"),
        ("USP_API_PORT", "70000", r"USP_API_PORT: .*65535"),
    ],
)
def test_a_bad_value_says_what_would_be_right(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """The error names the setting and the form it should have, and never shows a password."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_flags_go_over_the_environment_and_that_over_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer to the hand, the stronger."""
    (here / ".env").write_text("USP_API_PORT=1\nUSP_API_HOST=::1\n")
    monkeypatch.setenv("USP_API_PORT", "2")
    assert (load_settings().api_port, load_settings().api_host) == (2, "::1")
    assert load_settings(api_port=3).api_port == 3


def usp(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "usp", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_config_prints_every_setting(here: Path) -> None:
    """`usp config` is a .env file with explanations; what is set stands uncommented."""
    printed = usp("config", USP_API_PORT="8123").stdout
    assert "\nUSP_API_PORT=8123\n" in printed
    assert "\n# USP_DATABASE_URL=\n" in printed


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "line"),
    [
        (["migrate"], {}, 1, "usp: A setting cannot be used. USP_DATABASE_URL is not set"),
        (["migrate"], {"USP_DATABASE_URL": "postgresql://127.0.0.1:1/usp"}, 1, "is USP_DATABASE_URL right"),
        (["simulate", "--once"], {"USP_BROKER_URL": "mqtt://127.0.0.1:1"}, 1, "usp: The MQTT broker does not answer."),
        (["devices", "import", "nothing.csv"], {"USP_DATABASE_URL": "postgresql://127.0.0.1:1/usp"}, 1, "usp: "),
        (["ingst"], {}, 2, "No such command 'ingst'"),
        (["profiles", "check", "bosch-tps110", "--port", "2"], {}, 2, "--port goes with --payload"),
        (["devices", "import"], {}, 2, "give either a FILE or --demo"),
    ],
)
def test_errors_are_one_line_and_a_status(
    here: Path, arguments: list[str], environment: dict[str, str], status: int, line: str
) -> None:
    """1 for what went wrong, 2 for wrong usage; never a stack trace."""
    done = usp(*arguments, **environment)
    assert done.returncode == status
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1
