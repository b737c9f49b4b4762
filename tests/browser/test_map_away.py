"""The map when the platform goes away, and comes again."""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from playwright.async_api import expect
from tests.browser.conftest import Visit
from tests.browser.running import Platform
from tests.browser.watching import Watch


class Line:
    """A way to the platform that can be cut."""

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def join(self) -> str:
        """Open it, at the same address as before; returns that."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Break off what is under way, and take nothing more."""
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._ends |= {writer, far_writer}
        with suppress(OSError):
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while told := await reader.read(65536):
        writer.write(told)
        await writer.drain()
    writer.close()


async def test_the_platform_goes_away_and_comes_again(platform: Platform, visit: Visit, watch: Watch) -> None:
    """The page says since when what it shows is no longer what is now, and is live again by itself."""
    line = Line(platform.url)
    home = await line.join()
    watch.allow(
        f"^elsewhere: GET {home}|ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED"
    )
    page = await visit(base_url=home)
    await page.goto("/?device=bay-viale-bligny-4")
    await expect(page.locator(".plot canvas")).to_be_visible()
    await expect(page.locator(".live")).to_have_text("Live")
    line.cut()
    await expect(page.locator(".live")).to_have_text(re.compile(r"Away: shows what was known at \d\d:\d\d"))
    await page.get_by_role("button", name="30 days").click()
    await expect(page.get_by_text("No connection to the platform.")).to_be_visible()
    await line.join()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("img", name="last 30 days. Occupied")).to_be_visible()
    await expect(page.locator(".live")).to_have_text("Live")
    await page.context.close()
    line.cut()


async def test_a_visitors_clock_that_is_wrong(platform: Platform, visit: Visit, watch: Watch) -> None:
    """Who reports is judged by the platform's clock, and while that is away by when it was last heard."""
    line = Line(platform.url)
    home = await line.join()
    watch.allow(f"^elsewhere: GET {home}|ERR_|failed to fetch")
    page = await visit(base_url=home)
    await page.clock.install(time=datetime.now(UTC) + timedelta(minutes=10))
    await page.goto("/")
    await expect(page.locator(".live")).to_have_text("Live")
    told = page.get_by_text(re.compile(r"^\d+ of \d+ reports?$"))
    reporting = await told.inner_text()
    assert not reporting.startswith("0 of")
    line.cut()
    await expect(page.locator(".live")).to_have_text(re.compile("^Away"))
    await page.clock.fast_forward("07:00")
    # By then it has been counted again.
    await page.clock.fast_forward("00:20")
    await expect(told).to_have_text(reporting)
    await page.context.close()
