"""The map: the district as it is now, whatever is chosen of it, and its past."""

import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Locator, Page, expect
from tests.browser.conftest import Shoot, Visit
from tests.browser.doing import ITALIAN, colours, settled
from tests.browser.running import Platform

BAY = "bay-viale-bligny-3"
STREET = "viale-bligny"
#: That bay in the middle of the map, where nothing else stands near.
AT_BAY = "at=9.1927,45.4511,17.5"
FREE, OCCUPIED = "#00795a", "#b8460b"
CONTAINS = "([where, words]) => document.querySelector(where).textContent.includes(words)"


def figure(page: Page, label: str) -> Locator:
    """One of the four figures of the overview."""
    return page.locator(".tile").filter(has_text=label)


def place(page: Page, site: str) -> Locator:
    """A street in the list, with what is free there."""
    return page.locator(f"#site-{site} .place-words")


async def live(page: Page) -> None:
    """Wait until everything has been told once."""
    await expect(page.locator(".live.good")).to_be_visible()


async def newest(platform: Platform, dataset: str, **query: str) -> list[dict[str, Any]]:
    """The newest values of the devices that the query leaves."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    rows: list[dict[str, Any]] = (await platform.get(f"/v1/datasets/{dataset}/latest?limit=1000&{asked}"))["data"]
    return rows


async def free_bays(platform: Platform) -> list[str]:
    """Bays in which one may park, and nobody does."""
    devices = (await platform.get("/v1/devices?kind=parking_sensor&limit=1000"))["data"]
    parking = {device["device"] for device in devices if device.get("category") != "no_parking"}
    return [
        row["device"] for row in await newest(platform, "parking") if not row["occupied"] and row["device"] in parking
    ]


async def test_the_district_is_alive_within_three_seconds(platform: Platform, page: Page, shoot: Shoot) -> None:
    """A first visitor sees it, complete and live, without an error."""
    free = len(await free_bays(platform))
    available = [row for row in await newest(platform, "charging") if row["status"] == "available"]
    begun = time.monotonic()
    await page.goto("/")
    await live(page)
    await expect(figure(page, "bays free").locator("strong")).to_have_text(str(free))
    assert time.monotonic() - begun < 3
    await expect(figure(page, "charging points available").locator("strong")).to_have_text(str(len(available)))
    listed = {row["site"] for row in (await platform.get("/v1/devices?limit=1000"))["data"] if "site" in row}
    await expect(page.locator(".places .place")).to_have_count(len(listed))
    await settled(page)
    drawn = await colours(page, await page.locator(".canvas-map").bounding_box())
    assert len(drawn) > 100
    assert drawn[FREE] > 10 * free
    await shoot(page, "map")
    await page.emulate_media(color_scheme="dark")
    await settled(page)
    await shoot(page, "map-dark")


async def test_a_bay_flips_within_two_seconds(platform: Platform, page: Page) -> None:
    """From its message to the street's count, to its colour on the map, and to the panel that a click there opens."""
    await platform.send(BAY, occupied=False)
    await page.goto(f"/?{AT_BAY}")
    box = await page.locator(".canvas-map").bounding_box()
    assert box is not None
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    around = {"x": middle["x"] - 16, "y": middle["y"] - 16, "width": 32, "height": 32}
    await live(page)
    bays = [row["occupied"] for row in await newest(platform, "parking", site=STREET)]
    free, words = bays.count(False), f"{{}} of {len(bays)} bays free"
    await expect(place(page, STREET)).to_contain_text(words.format(free))
    assert (await colours(page, around)).get(FREE, 0) > 300

    begun = time.monotonic()
    await platform.send(BAY, occupied=True)
    await page.wait_for_function(CONTAINS, arg=[f"#site-{STREET}", words.format(free - 1)], timeout=2000)
    while (await colours(page, around)).get(FREE, 0):
        assert time.monotonic() - begun < 2
    assert (await colours(page, around)).get(OCCUPIED, 0) > 30

    await page.mouse.click(middle["x"], middle["y"])
    await expect(page.get_by_role("heading", name="Viale Bligny 3")).to_be_focused()
    await expect(page.locator(".state strong")).to_have_text("Occupied")
    await platform.send(BAY, occupied=False)
    await page.wait_for_function(CONTAINS, arg=[".state strong", "Free"], timeout=2000)


async def test_filters(platform: Platform, page: Page) -> None:
    """By kind, by category, only what is free: the list, its count and the address follow, and there is a way back."""
    await page.goto("/")
    await live(page)
    bays = (await platform.get("/v1/devices?kind=parking_sensor&category=disabled&limit=1000"))["data"]
    for name in (re.compile("^Bays"), re.compile("^Disabled people")):
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    listed = page.locator(".places .rows .place")
    await expect(listed).to_have_count(len({bay["site"] for bay in bays}))
    free = set(await free_bays(platform))
    await page.get_by_text("Only free bays and available charging points").click()
    left = {bay["site"] for bay in bays if bay["device"] in free}
    await expect(listed).to_have_count(len(left))
    await expect(page.locator("#places")).to_contain_text(re.compile(rf"{len(left)} of \d+"))
    assert parse_qs(urlsplit(page.url).query) == {"kind": ["parking_sensor"], "category": ["disabled"], "free": ["1"]}
    await listed.first.click()
    await expect(page).to_have_url(re.compile("&site="))
    await page.go_back()
    await expect(listed).to_have_count(len(left))
    await page.get_by_role("button", name="Show everything").first.click()
    await expect(page).to_have_url(f"{platform.url}/")


async def test_a_shared_address_shows_the_same(platform: Platform, page: Page, visit: Visit) -> None:
    """Whoever is sent it sees the same device, property and time, in a language and light of his own."""
    await page.goto("/?device=lamp-viale-bligny-1")
    await page.get_by_role("button", name="Nitrogen dioxide").click()
    await page.get_by_role("button", name="7 days").click()
    await expect(page).to_have_url(re.compile("span=7d"))
    other = await visit(**ITALIAN)
    await other.goto(page.url)
    await expect(other.get_by_role("heading", name="Viale Bligny 1")).to_be_visible()
    await expect(other.get_by_role("button", name="7 giorni")).to_have_attribute("aria-pressed", "true")
    await expect(other.get_by_role("combobox", name="Grandezza nel grafico")).to_have_value("air_quality.no2")
    await expect(other.locator("html[lang=it][data-theme=dark]")).to_have_count(1)


async def test_what_is_not_there(page: Page) -> None:
    """An address that leads nowhere says so, and shows the way to what there is."""
    for address, said in (("device=lamp-none", "no device “lamp-none” here"), ("site=none", "no place “none” here")):
        await page.goto(f"/?{address}")
        await expect(page.locator("main")).to_contain_text(f"There is {said}.")
        await page.get_by_role("button", name="To all places", exact=True).click()
        await expect(page.get_by_role("heading", name="The city now")).to_be_visible()
