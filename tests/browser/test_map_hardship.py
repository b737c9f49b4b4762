"""The map where a visitor's browser or the registry do not do as they usually do."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, expect
from tests.browser.running import Platform
from tests.browser.watching import Watch

from usp.registry import MILAN, read_devices

#: What Chromium does in a frame of another site, where its owner blocks what others keep.
NOTHING_KEPT = """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); },
});"""


async def test_within_a_citys_page_that_keeps_nothing(platform: Platform, page: Page, watch: Watch) -> None:
    """Embedded in another site's page, where the browser keeps nothing for it, it is live and switches as ever."""
    frame = f'<iframe src="{platform.url}/?lang=it" title="Parcheggi" width="1200" height="800"></iframe>'.encode()

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        if await reader.read(65536):
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + frame)
        writer.close()
        await writer.wait_closed()

    city = await asyncio.start_server(answer, "127.0.0.1")
    home = f"http://127.0.0.1:{city.sockets[0].getsockname()[1]}/"
    watch.allow(f"^elsewhere: GET {home}")
    await page.add_init_script(NOTHING_KEPT)
    await page.goto(home)
    city.close()
    embedded = page.frame_locator("iframe")
    await expect(embedded.locator(".live")).to_have_text("In diretta")
    await embedded.get_by_role("button", name="EN, English").click()
    await expect(embedded.locator(".live")).to_have_text("Live")
    await page.goto(f"{platform.url}/ops")
    await expect(page.get_by_role("link", name=re.compile("Silent"))).to_be_visible()


async def test_a_device_that_moves(platform: Platform, page: Page) -> None:
    """It leaves the street where it stood for the one where it stands now, before eyes that have it open."""
    lamp = next(device for device in read_devices(MILAN / "devices.csv") if device.name == "lamp-viale-toscana-1")
    await platform.register(replace(lamp, name="lamp-wanders", title="Wanderer", address=None))
    await platform.send("lamp-wanders", no2=30)
    await page.goto("/?device=lamp-wanders")
    await expect(page.locator(".live")).to_have_text("Live")
    panel = page.get_by_role("region", name="Overview and details")
    await expect(panel.get_by_role("heading", name="Wanderer")).to_be_visible()
    await expect(panel).to_contain_text("Viale Toscana")
    moved = replace(lamp, name="lamp-wanders", title="Settler", address=None, site="viale-bligny", lon=9.19, lat=45.45)
    await platform.register(moved)
    await expect(panel.get_by_role("heading", name="Settler")).to_be_visible()
    await expect(panel).to_contain_text("Viale Bligny")


async def test_the_language_in_an_address(page: Page) -> None:
    """Who switches it finds what he switched to when he opens the address again; nothing else gets in by it."""
    await page.goto("/?free=1&lang=it")
    await page.get_by_role("button", name="EN, English").click()
    await expect(page).to_have_url(re.compile(r"/\?free=1&lang=en$"))
    await page.reload()
    await expect(page.locator(".live")).to_have_text("Live")
    await page.goto("/?lang=it%26free%3D1&kind=lamppost")
    await expect(page.locator(".live")).to_have_text("Live")
    assert parse_qs(urlsplit(page.url).query) == {"kind": ["lamppost"]}
