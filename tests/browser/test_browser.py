"""The browser of the tests itself, and whether it notices what goes wrong."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Playwright, Route, expect
from tests.browser.chromium import Chromium, NoBrowser, get_chromium
from tests.browser.running import Platform
from tests.browser.watching import Watch

RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return [gl.getParameter(gl.VERSION), gl.getParameter(names.UNMASKED_RENDERER_WEBGL)];
}"""
HOME = "http://127.0.0.1:8999"
POLICY = "default-src 'self'; connect-src 'self' asked.example"
FILES = {
    "/": """<title>Going on</title><script src="/page.js"></script><script>forbidden()</script>""",
    "/page.js": """
        const broken = new AbortController();
        fetch("/slow", { signal: broken.signal }).catch(() => broken);
        console.warn("a warning");
        console.error("said");
        Promise.reject(new Error("rejected"));
        const image = new Image();
        const worker = new Worker("/worker.js");
        Promise.allSettled([
          fetch("/gone"),
          fetch("https://asked.example/"),
          new Promise((resolve) => { image.onerror = resolve; image.src = "https://picture.example/"; }),
          new Promise((resolve) => { worker.onmessage = resolve; }),
        ]).then(() => {
          broken.abort();
          alert("shown");
          document.title = "Done";
          throw new Error("thrown");
        });""",
    "/worker.js": """
        console.error("said by a worker");
        fetch("https://asked.example/by/a/worker").catch(() => postMessage("done"));""",
}
#: Their beginnings, in order.
TROUBLES = [
    "console: Executing inline script violates",
    "console: Failed to load resource: net::ERR_NAME_NOT_RESOLVED (https://asked.example/:0)",
    "console: Failed to load resource: the server responded with a status of 404",
    "console: Loading the image 'https://picture.example/' violates",
    "console: said (",
    "console: said by a worker (",
    "dialog: shown",
    "elsewhere: GET https://asked.example/",
    "elsewhere: GET https://asked.example/by/a/worker",
    "elsewhere: GET https://picture.example/",
    "error: Error: rejected",
    "error: Error: thrown",
    "failed: GET https://asked.example/ net::ERR_NAME_NOT_RESOLVED",
    "failed: GET https://asked.example/by/a/worker net::ERR_NAME_NOT_RESOLVED",
    "failed: GET https://picture.example/ csp",
]
ASK = "address => fetch(address, {mode: 'no-cors'}).then(() => 'answered', error => error.message)"


async def test_it_draws_maps_in_software(browser: Browser) -> None:
    """WebGL 2 is there without a graphics card."""
    page = await browser.new_page()
    version, renderer = await page.evaluate(RENDERER)
    assert version.startswith("WebGL 2.0")
    assert "SwiftShader" in renderer
    await page.context.close()


async def test_it_reaches_this_machine_only(chromium: Chromium, playwright: Playwright, tmp_path: Path) -> None:
    """Neither the browser by itself nor a page connects to any other machine or asks for its name."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    log = tmp_path / "log.json"
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        home = "{}:{}".format(*server.sockets[0].getsockname())
        browser = await chromium.launch(playwright, tmp_path, f"--log-net-log={log}")
        page = await browser.new_page()
        assert await page.evaluate(ASK, f"http://{home}/") == "answered"
        for elsewhere in ("https://example.org/", "http://192.0.2.1/", "http://[2001:db8::1]/"):
            assert await page.evaluate(ASK, elsewhere) == "Failed to fetch"
        await browser.close()
    written = json.loads(log.read_text())
    names = {number: name for name, number in written["constants"]["logEventTypes"].items()}
    events = [(names[event["type"]], event.get("params", {})) for event in written["events"]]
    assert {p["address"] for name, p in events if name == "TCP_CONNECT_ATTEMPT" and "address" in p} == {home}
    assert not {"HOST_RESOLVER_SYSTEM_TASK", "HOST_RESOLVER_DNS_TASK", "UDP_BYTES_SENT"} & {name for name, _ in events}


async def test_what_goes_wrong_is_noticed(browser: Browser) -> None:
    """Errors, dialogs, requests to elsewhere and breaches of the policy, in pages and workers; not what a page ends."""

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(HOME)
        if path != "/slow":
            await route.fulfill(
                status=200 if path in FILES else 404,
                content_type="text/javascript" if path.endswith(".js") else "text/html",
                headers={"Content-Security-Policy": POLICY},
                body=FILES.get(path, ""),
            )

    watch = Watch(HOME)
    context = await browser.new_context()
    watch.over(context)
    await context.route(f"{HOME}/**", serve)
    page = await context.new_page()
    await page.goto(HOME)
    await expect(page).to_have_title("Done")
    await context.close()
    found = sorted(watch.troubles)
    assert [line[: len(start)] for line, start in zip(found, TROUBLES, strict=True)] == TROUBLES
    watch.allow("^error: Error: (rejected|thrown)")
    assert len(watch.troubles) == len(TROUBLES) - 2


async def test_where_nothing_can_be_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's browser is taken; without one, a sentence says what is needed."""
    monkeypatch.setattr("usp.embedded.debian.mirrors", lambda _: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBrowser, match="install the package `chromium`") as refusal:
        get_chromium(tmp_path / "cache")
    assert "\n" not in str(refusal.value)
    (tmp_path / "chromium").touch(0o755)
    assert get_chromium(tmp_path / "cache") == Chromium(tmp_path / "chromium")


async def test_the_platform_before_it(platform: Platform, page: Page) -> None:
    """A day of every open dataset is there, and what a device says now is told within two seconds."""
    await page.goto("/docs")
    known = await page.evaluate("() => fetch('/v1/datasets').then(answer => answer.json())")
    assert {dataset["name"] for dataset in known["data"] if dataset["extent"] is None} == {"indoor_climate"}
    newest = "() => fetch('/v1/datasets/parking/latest?device=bay-viale-bligny-1').then(answer => answer.json())"
    before = (await page.evaluate(newest))["data"][0]["occupied"]
    await platform.send("bay-viale-bligny-1", occupied=not before)
    async with asyncio.timeout(2):
        while (await page.evaluate(newest))["data"][0]["occupied"] is before:
            await asyncio.sleep(0.05)
