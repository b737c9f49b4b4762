"""What others have written, in names and messages, is shown as text: nothing of it becomes a part of a page."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.doing import PHONE, beyond
from tests.browser.running import Platform

from usp.models.device import Device, Site

IMAGE, SCRIPT = "<img src=x onerror=alert(1)>", '"><script>alert(1)</script>'
WORDS = {
    "image": IMAGE,
    "script": SCRIPT,
    "long": "W" * 5000,
    "turned": "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "picture": "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
}
WHERE: dict[str, Any] = {"lon": 9.16, "lat": 45.43, "site": "odd-street"}
#: What such words would have made, and where one turns the words beside it around.
MADE = """() => [...document.querySelectorAll("#app :is(img[src=x], script, [onerror])")].length"""
TURNING = """() => [...document.querySelectorAll("#app *")].filter((element) => {
  const { display, unicodeBidi } = getComputedStyle(element);
  return [...element.childNodes].some(({ nodeType, data }) => nodeType === Node.TEXT_NODE && data.includes("\u202e"))
    && display === "inline" && !unicodeBidi.startsWith("isolate");
}).map(({ outerHTML }) => outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
async def strangers(platform: Platform) -> Platform:
    """A street, bays and a charging point that are called so and say so, and senders that nobody knows."""
    site = Site(name="odd-street", title=f"Odd {IMAGE}{SCRIPT}", address=WORDS["long"], lon=9.16, lat=45.43)
    bays = [
        Device(name=f"odd-{name}", title=f"Odd {word}", kind="parking_sensor", **WHERE) for name, word in WORDS.items()
    ]
    point = Device(name="odd-point", kind="charging_point", **WHERE)
    await platform.register(*bays, point, sites=[site])
    before = await platform.query("SELECT count(*) FROM usp.rejection")
    for number, (name, word) in enumerate(WORDS.items()):
        await platform.send(f"odd-{name}", **{word: word})
        await platform.send(f"odd-{name}", occupied=word)
        await platform.publish(f"usp/v1/odd-{name}/up", word)
        await platform.publish(f"usp/v1/{word.replace('/', '')}/up", "{}")
        uplink = lorawan(f"010203040506070{number}", word)
        await platform.publish(f"application/1/device/{uplink['deviceInfo']['devEui']}/event/up", json.dumps(uplink))
    await platform.until("SELECT count(*) >= $1 FROM usp.rejection", before + 5 * len(WORDS))
    await platform.send("odd-point", status="available")
    stated = "UPDATE usp.charging_latest l SET status = $1 FROM usp.device d WHERE d.id = l.device AND d.name = $2"
    await platform.until(stated + " RETURNING true", IMAGE, "odd-point")
    return platform


def lorawan(address: str, word: str) -> dict[str, Any]:
    """An uplink as ChirpStack tells it, of a device that is called so in its network."""
    about = {"devEui": address, "deviceName": word, "deviceProfileName": word, "tags": {word: word}}
    return {"deviceInfo": about, "time": datetime.now(UTC).isoformat(), "fPort": 1, "object": {word: word}}


async def text_only(page: Page, *words: str) -> None:
    """All these words can be read, and did nothing."""
    told = await page.locator("#app").inner_text()
    assert [word for word in words if word not in told] == []
    assert await page.evaluate(MADE) == 0
    assert await page.evaluate(TURNING) == []
    assert await beyond(page) == []


async def test_to_operators(strangers: Platform, page: Page) -> None:
    """Topics, payloads, fields and names of senders, and titles of devices that are silent."""
    await page.goto("/ops")
    await expect(page.locator("#silent").get_by_text("Odd WWWWW")).to_be_visible()
    await expect(page.locator("#candidates h3").filter(has_text=IMAGE)).to_have_count(2)
    for reason in await page.locator("#refused button.reason").all():
        await reason.click()
    await expect(page.locator("#reason-wrong_type .samples > li")).to_have_count(len(WORDS))
    await expect(page.locator("#reason-unknown_device .samples > li").nth(2 * len(WORDS) - 1)).to_be_visible()
    await page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true }")
    await text_only(page, *WORDS.values())
    await page.set_viewport_size(PHONE["viewport"])
    assert await beyond(page) == []


async def test_to_everybody(strangers: Platform, page: Page) -> None:
    """Titles of places and devices, in lists, panels, the search and beside the pointer, and a state no list knows."""
    await page.goto("/?site=odd-street&at=9.16,45.43,18")
    await expect(page.locator("#panel-title")).to_have_text(f"Odd {IMAGE}{SCRIPT}")
    await expect(page.locator(".view:not([hidden]) .rows .place")).to_have_count(len(WORDS) + 1)
    await page.get_by_role("combobox").fill("odd")
    await expect(page.get_by_role("option").filter(has_text="onerror").first).to_be_visible()
    box = await page.locator(".canvas-map").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(page.locator(".canvas-tooltip strong")).to_contain_text("dd")
    await text_only(page, *WORDS.values())
    for name in ("script", "turned", "long"):
        await page.locator(f"#device-odd-{name}").click()
        await expect(page.locator("#panel-title")).to_have_text(f"Odd {WORDS[name]}")
        await expect(page).to_have_title(f"Odd {WORDS[name]} · Urban sharing platform")
        await text_only(page, WORDS[name])
        await page.keyboard.press("Escape")
    await page.set_viewport_size(PHONE["viewport"])
    assert await beyond(page) == []
    await page.locator("#device-odd-point").click()
    await expect(page.locator(".state strong")).to_have_text(IMAGE)
    await text_only(page, IMAGE)
