"""The map for everybody: on a phone, in Italian, in the dark, without eyes, without a mouse."""

from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Shoot, Visit
from tests.browser.doing import ITALIAN, PHONE, beyond, findings, foreign, settled, tab_to
from tests.browser.running import Platform

#: The overview; a device with its chart; a building with its meters.
DEVICE = "/?device=lamp-viale-bligny-1"
ADDRESSES = ("/", DEVICE, "/?site=building-tito-livio")


@pytest.mark.parametrize("visitor", [{}, ITALIAN, PHONE], ids=["english", "italian-dark", "phone"])
async def test_everybody_can_use_it(visit: Visit, shoot: Shoot, visitor: dict[str, Any]) -> None:
    """Axe finds nothing grave in any of it, nothing reaches out of the page, and Italians read Italian."""
    page = await visit(**visitor)
    pictures = {} if visitor is ITALIAN else {"/": "map-phone"} if visitor is PHONE else {DEVICE: "map-device"}
    for address in ADDRESSES:
        await page.goto(address)
        await expect(page.locator(".live.good")).to_be_visible()
        await expect(page.locator(".view:not([hidden])").locator(".place-words, .plot canvas").first).to_be_visible()
        if address in pictures:
            await settled(page)
            await shoot(page, pictures[address])
        closed = page.locator(".view:not([hidden]) details:not([open]) > summary")
        while await closed.count():
            await closed.first.click()
        assert await findings(page) == []
        assert await beyond(page) == []
        if visitor is ITALIAN:
            assert await foreign(page) == set()


async def test_a_phone(visit: Visit) -> None:
    """The sheet grows over the map and shrinks again, and a street can be searched for and opened."""
    page = await visit(**PHONE)
    await page.goto("/")
    place, sheet = page.locator(".map-place"), page.get_by_role("region", name="Overview and details")
    await expect(place).to_be_visible()
    low = await sheet.bounding_box()
    await page.get_by_role("button", name="Make the panel larger").tap()
    await expect(place).to_be_hidden()
    high = await sheet.bounding_box()
    assert low is not None
    assert high is not None
    assert (low["height"] < 844 / 2, high["height"] > 844 * 0.7) == (True, True)
    await page.get_by_role("button", name="Make the panel smaller").tap()
    await expect(place).to_be_visible()
    await page.get_by_role("combobox", name="Search for a street").tap()
    await page.keyboard.type("toscana")
    await page.get_by_role("option", name="Viale Toscana").first.tap()
    await expect(page.get_by_role("heading", name="Viale Toscana")).to_be_in_viewport()
    assert await beyond(page) == []


async def test_search_and_back_with_keys(page: Page) -> None:
    """`/` leads to the search, arrows and Enter to a street and its device; Escape goes back the same way."""
    await page.goto("/")
    search = page.get_by_role("combobox", name="Search for a street")
    await expect(page.locator(".live.good")).to_be_visible()
    await page.keyboard.press("/")
    await expect(search).to_be_focused()
    await page.keyboard.type("bligny")
    await expect(page.get_by_role("option").first).to_contain_text("Viale Bligny")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Viale Bligny", exact=True)).to_be_focused()
    row = page.locator("#device-bay-viale-bligny-2")
    await tab_to(page, row)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Viale Bligny 2")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(row).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(search).to_be_focused()


async def test_no_trap_for_the_keyboard(platform: Platform, page: Page) -> None:
    """From the link that skips to the list of places the tabulator leads through all there is, and out of the map."""
    await page.goto(f"{platform.url}/?kind=energy_meter")
    await expect(page.locator(".places .place")).to_have_count(7)
    skip = page.get_by_role("link", name="Skip to the list of places")
    await tab_to(page, skip, most=1)
    await page.keyboard.press("Enter")
    await expect(page.locator("#places")).to_be_focused()
    await tab_to(page, page.locator(".places .place").last, most=7)
    await tab_to(page, page.locator(".calls button").last, most=14)
    await tab_to(page, page.locator("canvas.maplibregl-canvas"), most=3)
    await tab_to(page, page.locator(".canvas-buttons button").last, most=3)
    await tab_to(page, skip, most=3)
