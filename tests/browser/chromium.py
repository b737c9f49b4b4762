"""A browser for the tests: Chromium without a screen, unpacked once per machine and user, else the system's own.

It draws WebGL in software and can reach nothing but this machine.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Playwright

from usp.embedded import EmbeddedUnavailable
from usp.embedded.bundle import Bundle
from usp.errors import UspError

FOLDER = "usr/lib/chromium"
SHELL = f"{FOLDER}/chromium-headless-shell"

CHROMIUM = Bundle(
    name="chromium",
    revision=1,
    wanted=("chromium-headless-shell",),
    needed=("chromium-common", "fonts-dejavu-core", "fonts-dejavu-mono", "zlib1g"),
    # Chromium brings SwiftShader, so nothing drives a graphics card.
    left_out=("libllvm", "libz3", "libgl1", "libglx", "libvulkan"),
    clutter=(
        *("etc", "usr/bin", "usr/share/doc", "usr/share/locale", "usr/share/man"),
        *(f"{FOLDER}/{name}" for name in ("libVkLayer_khronos_validation.so", "chrome_crashpad_handler")),
    ),
    programs=(SHELL,),
    trials=((SHELL, "--version"),),
    megabytes=115,
    folders=("pulseaudio",),
    astray=("libpulse.so.0",),
)
#: What a system may have.
COMMANDS = ("chromium-headless-shell", "chromium", "google-chrome")

ARGUMENTS = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # Whatever it would like to fetch for itself, and whatever a page would like to: no name is known, no other address
    # is tried.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    *("--no-proxy-server", "--disable-quic", "--disable-background-networking", "--disable-sync", "--no-first-run"),
    # In a container the shared memory is often too small for it.
    "--disable-dev-shm-usage",
)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
</fontconfig>
"""


class NoBrowser(UspError):
    """The browser's tests need Chromium: on Debian it is unpacked by itself, elsewhere install the package `chromium`."""  # noqa: E501


@dataclass(frozen=True)
class Chromium:
    """The program, and the folder of the fonts it came with; None where the system's are used."""

    program: Path
    fonts: Path | None = None

    async def launch(self, playwright: Playwright, folder: Path, *arguments: str, **options: Any) -> Browser:
        """Start it; `folder` takes what it writes about fonts."""
        environment: dict[str, str | float | bool] = dict(os.environ)
        if self.fonts:
            config = folder / "fonts.conf"
            config.write_text(FONTS.format(fonts=self.fonts, cache=folder / "fonts"))
            environment["FONTCONFIG_FILE"] = str(config)
        return await playwright.chromium.launch(
            executable_path=self.program,
            # As root, and in most containers, its sandbox cannot be made.
            chromium_sandbox=False,
            args=[*ARGUMENTS, *arguments],
            env=environment,
            **options,
        )


def get_chromium(cache: Path | None = None) -> Chromium:
    """Return what is unpacked, else unpack it, else take the system's; `NoBrowser` where there is none."""
    try:
        root = CHROMIUM.get(cache=cache)
    except EmbeddedUnavailable as error:
        for name in COMMANDS:
            if found := shutil.which(name):
                return Chromium(Path(found))
        raise NoBrowser(error.detail) from None
    return Chromium(root / SHELL, root / "usr/share/fonts")
