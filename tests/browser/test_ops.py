"""The operators' page: who is silent, what was refused and why, and mending it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect
from tests.browser.conftest import Shoot, Visit
from tests.browser.doing import ITALIAN, PHONE, Clicks, beyond, findings, foreign, tab_to
from tests.browser.running import Platform
from tests.browser.watching import Watch

from usp.models.device import Device

SILENT = Device(
    name="lamp-viale-umbria-9", title="Viale Umbria 9", kind="lamppost", profile="milan-lamppost", site="viale-umbria"
)
#: What came in over an hour of the district, as it would have come: the day of the tests came within seconds.
AN_HOUR = """
    WITH measured AS (
        SELECT date_trunc('minute', time) AS minute, device, array_agg(DISTINCT dataset) AS datasets
        FROM ({rows}) AS rows WHERE time > now() - interval '61 minutes' GROUP BY time, device
    ), sent AS (
        SELECT minute, d.kind, datasets FROM measured m JOIN usp.device d ON d.id = m.device
    )
    INSERT INTO usp.ingest_minute (minute, slot, door, kind, dataset, what, reason, count)
    SELECT minute, 9, 'mqtt', kind, '', what, '', count(*) FROM sent, unnest('{{received,stored}}'::text[]) AS what
    GROUP BY 1, 4, 6
    UNION ALL
    SELECT minute, 9, '', '', dataset, 'delay', bound, count(*) * share
    FROM sent, unnest(datasets) AS dataset, (VALUES ('0.5', 9), ('1', 8), ('2', 1)) AS late (bound, share)
    GROUP BY minute, dataset, bound, share
"""
DATASETS = ("air_quality", "weather", "noise", "traffic", "lighting", "parking", "charging", "energy", "indoor_climate")

DELAYS = r"Delay of 95 % of the readings over the last hour: from (\S+) (\w+) to (\S+) (\w+)"
#: In seconds.
UNITS = {"sec": 1, "min": 60, "hr": 3600}


@pytest.fixture(scope="module")
async def district(platform: Platform) -> Platform:
    """One whose lamppost fell silent two days ago."""
    await platform.register(SILENT)
    await platform.send(SILENT.name, time=datetime.now(UTC) - timedelta(days=2), pm2_5=14.2)
    rows = " UNION ALL ".join(f"SELECT time, device, '{name}' AS dataset FROM usp.{name}" for name in DATASETS)
    await platform.query("DELETE FROM usp.ingest_minute WHERE what IN ('received', 'stored', 'delay')")
    await platform.query(AN_HOUR.format(rows=rows))
    return platform


def bay(number: int) -> Device:
    """A bay that nobody has registered yet."""
    return Device(
        name=f"bay-via-crema-{number}", kind="parking_sensor", profile="milan-parking", category="logistics",
        title=f"Via Crema {number}", site="via-crema",
    )  # fmt: skip


async def refused(platform: Platform, device: Device, messages: int = 3) -> None:
    """Let it speak before anybody knows it."""
    for number in range(messages):
        at = datetime.now(UTC) - timedelta(minutes=messages - number)
        await platform.send(device.name, time=at, occupied=number % 2 == 0)
    kept = "SELECT count(*) >= $2 FROM usp.rejection WHERE address = $1"
    await platform.until(kept, device.name, messages)


def kind_row(page: Page, kind: str) -> Locator:
    """A kind of device, at a glance."""
    return page.locator("#glance").get_by_role("row", name=kind)


def reason(page: Page, name: str) -> Locator:
    """A reason for refusing, to be opened."""
    return page.locator("#refused").get_by_role("button", name=name)


async def test_silent_refused_why_and_again(district: Platform, page: Page, shoot: Shoot) -> None:
    """In three clicks an operator knows who is silent, what was refused and why, and has it taken up again."""
    device = bay(9)
    await refused(district, device)
    await district.register(device)
    click = Clicks()
    await page.goto("/ops")
    expected = sum(kind["expected"] for kind in (await district.get("/health/ingest", operator=True))["kinds"].values())
    # The bay is one of them until what it has sent is taken up.
    verdict = f"2 of {expected} devices are silent, 3 refused messages wait"
    await expect(page.locator("#verdict")).to_have_text(verdict)
    await expect(kind_row(page, "Lamppost").locator("svg")).to_have_count(2)
    await expect(page.locator(".freshness")).to_contain_text("Refreshed")
    await page.evaluate("document.fonts.ready")
    await shoot(page, "ops")

    await click(kind_row(page, "Lamppost").get_by_role("button", name="1 silent"))
    silent = page.locator("#silent").get_by_role("row", name=SILENT.title)
    await expect(silent).to_be_in_viewport()
    await expect(silent).to_contain_text("2 days")

    await click(reason(page, "Unknown device"))
    opened = page.locator("#reason-unknown_device")
    await expect(opened).to_contain_text("No device of this name is registered; register it, then replay.")
    newest = opened.get_by_role("listitem").filter(has_text=device.name)
    await expect(newest).to_have_count(3)
    await expect(newest.first.locator("pre")).to_contain_text('"occupied": true')

    await click(opened.get_by_role("button", name="Replay all 3"))
    await expect(opened).to_contain_text("Taken up again 3: 3 are now stored, 0 were refused again.")
    await expect(reason(page, "Unknown device")).to_contain_text("nothing waits")
    assert click.count <= 6
    await expect(page.locator("#verdict")).to_have_text(f"1 of {expected} devices is silent")
    stored = await district.get(f"/v1/datasets/parking/readings?device={device.name}")
    assert [row["occupied"] for row in stored["data"]] == [True, False, True]


async def test_the_same_without_a_mouse(district: Platform, page: Page) -> None:
    """Tabulator and Enter lead through all of it, and what a button leads to has the focus."""
    device = bay(8)
    await refused(district, device)
    await district.register(device)
    await page.goto("/ops")
    await tab_to(page, kind_row(page, "Lamppost").get_by_role("button", name="1 silent"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Silent devices")).to_be_focused()
    await tab_to(page, reason(page, "Unknown device"))
    await page.keyboard.press("Enter")
    opened = page.locator("#reason-unknown_device")
    await tab_to(page, opened.get_by_role("checkbox").nth(1))
    await page.keyboard.press("Space")
    await tab_to(page, opened.get_by_role("button", name="Replay the 1 chosen"), back=True)
    await page.keyboard.press("Enter")
    await expect(opened).to_contain_text("Taken up again 1: 1 is now stored, 0 were refused again.")
    stored = await district.get(f"/v1/datasets/parking/readings?device={device.name}")
    assert [row["occupied"] for row in stored["data"]] == [False]


async def test_registering_a_sender_stores_what_it_sent(district: Platform, page: Page) -> None:
    """A form, filled in with what understands it, makes a device of a sender; its two messages are readings then."""
    device = bay(7)
    await refused(district, device, messages=2)
    await page.goto("/ops")
    waiting = (
        page.locator("#candidates").get_by_role("listitem").filter(has=page.get_by_role("heading", name=device.name))
    )
    await expect(waiting).to_contain_text("2 wait")
    await expect(waiting).to_contain_text("occupied = false")
    await waiting.get_by_role("button", name=f"Register {device.name}").click()
    form = waiting.get_by_role("form")
    await form.get_by_label("Profile").select_option(device.profile)
    await form.get_by_label("Title").fill(device.title)
    await form.get_by_label("Place").select_option("Via Crema")
    await form.get_by_label("Category").select_option("Loading and unloading")
    await form.get_by_role("button", name="Register and take up what waits").click()
    told = f"{device.title} is registered: Parking bay. The 2 messages that had waited are stored."
    await expect(page.locator("#candidates > [role=status]")).to_contain_text(told)
    await expect(waiting).to_have_count(0)
    known = await district.get(f"/v1/devices/{device.name}")
    assert (known["title"], known["category"], known["place"]["site"]) == (device.title, "logistics", "via-crema")
    stored = await district.get(f"/v1/datasets/parking/readings?device={device.name}")
    assert [row["occupied"] for row in stored["data"]] == [True, False]


async def test_lines_are_told_in_words(district: Platform, page: Page) -> None:
    """Each small line says its least, its greatest and its last number to whom it cannot be shown."""
    async with page.expect_response("**/v1/ops/minutes?*") as asked:
        await page.goto("/ops")
    told = (await (await asked.value).json())["kinds"]["lamppost"]
    lines = kind_row(page, "Lamppost").locator("svg title")
    received = told["received"]
    assert max(received) > 0
    numbers = f"from {min(received)} to {max(received)}, in the last minute {received[-1]}"
    await expect(lines.first).to_have_text(f"Items per minute over the last hour: {numbers}")
    found = re.fullmatch(DELAYS, await lines.last.text_content() or "")
    assert found is not None
    known = [delay for delay in told["delay_p95_s"] if delay is not None]
    for number, unit, delay in ((found[1], found[2], min(known)), (found[3], found[4], max(known))):
        assert float(number) == pytest.approx(delay / UNITS[unit], abs=0.501)


async def test_a_platform_that_limps_is_not_well(page: Page) -> None:
    """A dead worker among others, a write without end, roll-ups far behind: the first sentence names them."""

    async def limp(route: Route) -> None:
        answer = await route.fetch()
        told = await answer.json()
        told["workers"] = [dict(told["workers"][0], slot=slot, alive=slot == 1) for slot in (1, 2)]
        told["database"]["oldest_write"] = {"pid": 1, "application": "psql", "account": "somebody", "seconds": 660}
        told["rollup"][0]["behind_s"] = 18_000
        await route.fulfill(response=answer, json=told)

    await page.route("**/v1/ops/state", limp)
    await page.goto("/ops")
    said = "1 of 2 workers is dead · A transaction has been writing for 11 min · Hourly figures are 5 hr behind"
    await expect(page.locator("#verdict")).to_contain_text(said)


async def test_tokens(platform: Platform, page: Page, watch: Watch) -> None:
    """Who has none is asked for one; it is said what is wrong with one, and a right one is kept as long as the tab."""
    watch.allow("status of 40[13]")
    await page.route("**/ops/token", lambda route: route.fulfill(json={"token": None}))
    other, right = await platform.token("reader", "read:restricted"), await platform.token("operator", "ops")
    await page.goto("/ops")
    field, said = page.get_by_label("Token"), page.get_by_role("alert")
    for token, words in (
        ("no token!", "This is not a token"),
        (right[:-1] + ("B" if right[-1] == "A" else "A"), "This token is not valid"),
        (other, "lacks the scope “ops”"),
    ):
        await field.fill(token)
        await field.press("Enter")
        await expect(said).to_contain_text(words)
        await expect(field).to_be_focused()
    assert await findings(page) == []
    await field.fill(right)
    await field.press("Enter")
    await expect(page.locator("#verdict")).to_contain_text("devices")
    await expect(page.get_by_role("heading", name="Operations")).to_be_focused()
    await page.reload()
    await expect(page.locator("#verdict")).to_contain_text("devices")
    await page.get_by_role("button", name="Sign out").click()
    await page.reload()
    await expect(field).to_be_visible()


@pytest.mark.parametrize("visitor", [{}, ITALIAN, PHONE], ids=["english", "italian-dark", "phone"])
async def test_everybody_can_use_it(district: Platform, visit: Visit, shoot: Shoot, visitor: dict[str, Any]) -> None:
    """With all of it open axe finds nothing grave, nothing reaches out of the page, and Italians read Italian."""
    await district.publish("usp/v1/bay-via-crema-1/up", '{"time": "2026-11-21T09:00:00", "occupied": true}')
    await refused(district, bay(6), messages=1)
    page = await visit(**visitor)
    await page.goto("/ops")
    await expect(page.locator("#glance svg").first).to_be_visible()
    await expect(page.locator("#candidates h3").first).to_be_visible()
    if visitor is PHONE:
        await expect(page.locator(".freshness")).to_contain_text("Refreshed")
        await shoot(page, "ops-phone")
    closed = page.locator("main button[aria-expanded=false]")
    while await closed.count():
        await closed.first.click()
    await expect(page.locator("#refused pre").first).to_be_visible()
    await expect(page.locator("#candidates form").first).to_be_visible()
    assert await findings(page) == []
    assert await beyond(page) == []
    if visitor is ITALIAN:
        assert await foreign(page) == set()
