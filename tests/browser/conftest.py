"""A real browser before a real platform.

`page` is a fresh visitor's, on a desktop; `visit` lets others come, on a phone, in Italian, in the dark. Whatever goes
wrong in their pages unseen fails the test at its end (`watching.py`); `watch.allow` names what may.
Pictures are kept in `build/screenshots`, which git ignores: those that tests take with `shoot`, and of every page open
when a test fails `failed-<test>-<number>.png`.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.async_api import Browser, Page, Playwright, async_playwright, expect
from tests.browser.chromium import Chromium, NoBrowser, get_chromium
from tests.browser.running import Platform, running
from tests.browser.watching import Watch

from usp.embedded import Mosquitto, Parts

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DESKTOP = {"width": 1440, "height": 900}
#: How long a page may take for what a test waits for, in milliseconds.
PATIENCE_MS = 10_000

Visit: TypeAlias = Callable[..., Awaitable[Page]]
Shoot: TypeAlias = Callable[[Page, str], Awaitable[Path]]

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know at their end whether the test has failed."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="package")
def chromium() -> Chromium:
    """The program."""
    try:
        return get_chromium()
    except NoBrowser as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="package")
async def playwright() -> AsyncIterator[Playwright]:
    """What drives it."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as driver:
        yield driver


@pytest.fixture(scope="package")
async def browser(
    chromium: Chromium, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """One browser for all tests; each has visitors of its own."""
    started = await chromium.launch(playwright, tmp_path_factory.mktemp("browser"))
    yield started
    await started.close()


@pytest.fixture(scope="package")
async def platform(
    parts: Parts,
    empty_database: Callable[..., Awaitable[str]],
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    """The demonstration district with a day of readings, ended at now: what a test sends is what is newest."""
    url, folder = await empty_database(template), tmp_path_factory.mktemp("platform")
    with Mosquitto(parts, tmp_path_factory.mktemp("broker")) as broker:
        async with running(url, broker.url, folder) as platform:
            yield platform


@pytest.fixture
async def watch(platform: Platform) -> AsyncIterator[Watch]:
    """What has gone wrong; fails the test if anything has that is not allowed."""
    watching = Watch(platform.url)
    yield watching
    assert not watching.troubles, "\n".join(watching.troubles)


@pytest.fixture
async def visit(
    browser: Browser, platform: Platform, watch: Watch, request: pytest.FixtureRequest
) -> AsyncIterator[Visit]:
    """Let another visitor come: a page of a fresh context with these options of Playwright's over a desktop's.

    `await visit(**playwright.devices["iPhone 15"])`, `await visit(locale="it-IT", color_scheme="dark")`. Addresses are
    relative to the platform: `await page.goto("/")`.
    """
    pages: list[Page] = []

    async def come(**options: Any) -> Page:
        usual = {
            "base_url": platform.url,
            "viewport": DESKTOP,
            "locale": "en-GB",
            "timezone_id": "Europe/Rome",
            # What moves would be drawn by the processor, which the platform needs.
            "reduced_motion": "reduce",
        }
        context = await browser.new_context(**usual | options)
        context.set_default_timeout(PATIENCE_MS)
        watch.over(context)
        pages.append(await context.new_page())
        return pages[-1]

    yield come
    for number, page in enumerate(pages):
        if request.node.stash.get(_FAILED, False) and not page.is_closed():
            name = re.sub(r"[^\w-]+", "-", request.node.name)
            await page.screenshot(path=SCREENSHOTS / f"failed-{name}-{number}.png")
        await page.context.close()


@pytest.fixture
async def page(visit: Visit) -> Page:
    """A visitor on a desktop, who reads English in Milan."""
    return await visit()


@pytest.fixture
def shoot() -> Shoot:
    """Take a picture of a page and keep it under a name without ending."""

    async def take(page: Page, name: str) -> Path:
        path = SCREENSHOTS / f"{name}.png"
        await page.screenshot(path=path)
        return path

    return take
