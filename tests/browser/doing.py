"""What several tests do with a page, and look at in it."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

WEB = Path(__file__).parents[2] / "src/usp/web"
AXE = WEB / "node_modules/axe-core/axe.min.js"
MESSAGES: dict[str, dict[str, str]] = json.loads((WEB / "common/messages.json").read_text())
#: Impacts of findings that nobody may meet.
GRAVE = {"serious", "critical"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
ITALIAN: dict[str, Any] = {"locale": "it-IT", "color_scheme": "dark"}

_FINDINGS = """async () => {
  const { violations } = await axe.run({ resultTypes: ["violations"] });
  return violations.map(({ impact, id, nodes }) => [impact, id, nodes.map(({ target }) => target.join(" "))]);
}"""
#: Not what the API or a device says, nor the name of a profile.
_SAID = """() => {
  const others = "[lang=en], code, pre, .told, #candidates option, .place-title, .option-title, h2, .foot p";
  const own = [...document.querySelectorAll("#app *")].filter((element) => !element.closest(others));
  return own.flatMap((element) => [
    ...[...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data),
    ...["aria-label", "title", "placeholder", "alt"].map((name) => element.getAttribute(name) ?? ""),
  ]).join(" ");
}"""
_COLOURS = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const found = {};
  const pixels = new Uint32Array(canvas.getImageData(0, 0, image.width, image.height).data.buffer);
  for (const pixel of pixels) found[pixel] = (found[pixel] ?? 0) + 1;
  return Object.entries(found);
}"""
# What scrolls in a box that is there for it, or is cut with three dots, is no trouble.
_BEYOND = """() => {
  const wide = document.documentElement.clientWidth;
  const boxes = "nav, pre, .scroll, .canvas, .unseen";
  const dots = (element) => element !== null
    && (getComputedStyle(element).textOverflow === "ellipsis" || dots(element.parentElement));
  const boxed = (element) => element.closest(boxes) !== null || dots(element);
  const scrolls = (element) => element.scrollWidth > element.clientWidth + 1
    && ["auto", "scroll"].includes(getComputedStyle(element).overflowX) && !element.matches(boxes);
  const wider = [document.documentElement, document.body].filter((element) => element.scrollWidth > wide);
  const out = [...document.querySelectorAll("#app *")].filter((element) => {
    const { left, right, width } = element.getBoundingClientRect();
    const beyond = width > 1 && (left < -1 || right > wide + 1) && !boxed(element);
    return element.checkVisibility() && (beyond || scrolls(element));
  });
  return [...wider, ...out].map(({ tagName, className }) => `${tagName} ${className}`);
}"""


class Clicks:
    """An operator's hand, whose clicks are counted."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, locator: Locator) -> None:
        """Click, once."""
        self.count += 1
        await locator.click()


async def findings(page: Page) -> list[Any]:
    """What of the page some people cannot use, by axe."""
    await page.evaluate(AXE.read_text())
    return [found for found in await page.evaluate(_FINDINGS) if found[0] in GRAVE]


async def foreign(page: Page) -> set[str]:
    """The English words in an Italian page, but for what others have named and what stands marked as English."""
    both = [(each["en"], each["it"]) for each in MESSAGES.values()]
    # Two words that are the same in both languages have been forgotten.
    italian = _words(" ".join(it for en, it in both if it != en or " " not in it))
    # Names of devices have hyphens.
    said = re.sub(r"\w+(-\w+)+", "", await page.evaluate(_SAID))
    return (_words(" ".join(en for en, _ in both)) - italian) & _words(said)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}", text.lower()))


async def tab_to(page: Page, wanted: Locator, *, back: bool = False, most: int = 120) -> None:
    """Give something the focus, with nothing but the tabulator key."""
    target = await wanted.element_handle()
    for _ in range(most):
        await page.keyboard.press("Shift+Tab" if back else "Tab")
        if await page.evaluate("wanted => document.activeElement === wanted", target):
            return
    await expect(wanted).to_be_focused(timeout=1)


async def colours(page: Page, clip: Any = None) -> dict[str, int]:
    """The colours of what is seen as #rrggbb, each with its number of pixels."""
    picture = base64.b64encode(await page.screenshot(clip=clip)).decode()
    found = await page.evaluate(_COLOURS, picture)
    return {"#" + int(pixel).to_bytes(4, "little")[:3].hex(): count for pixel, count in found}


async def beyond(page: Page) -> list[str]:
    """What reaches out of the page sideways, or makes it scroll."""
    found: list[str] = await page.evaluate(_BEYOND)
    return found


async def settled(page: Page) -> None:
    """Wait until letters have come and the map has come to rest: nothing moves, fades or pulses in it."""
    await page.evaluate("() => document.fonts.ready")
    place = await page.locator(".canvas-map").bounding_box()
    before, now = b"", await page.screenshot(clip=place)
    while before != now:
        before, now = now, await page.screenshot(clip=place)
