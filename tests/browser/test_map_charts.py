"""The chart of a device: it shows the API's numbers."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, expect
from tests.browser.doing import MESSAGES

#: Pixels of a chart that are no text, axis or ground, which are all grey.
COLOURED = """() => {
  const { width, height } = document.querySelector(".plot canvas");
  const { data } = document.querySelector(".plot canvas").getContext("2d").getImageData(0, 0, width, height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    const channels = [...data.subarray(at, at + 3)];
    if (data[at + 3] > 0 && Math.max(...channels) - Math.min(...channels) > 40) found += 1;
  }
  return found;
}"""
TABLE = "() => [...document.querySelectorAll('.numbers tr')].map(row => [...row.cells].map(cell => cell.textContent))"
SCALES = {"kW": 1000.0, "%": 0.01}
STATES = {each["en"]: name.removeprefix("state.") for name, each in MESSAGES.items() if name.startswith("state.")}
BUCKET_S = 1800
NOTHING = "\N{EN DASH}"


def told(cell: str) -> tuple[float, float]:
    """A number as the page writes it, and by how much it may have been rounded."""
    found = re.fullmatch(r"(-?[\d,.]+)\s?(.*)", cell)
    assert found is not None, cell
    number, scale = float(found[1].replace(",", "")), SCALES.get(found[2], 1.0)
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 or found[2] == "%" else 2
    return number * scale, 0.501 * scale * 10**-digits


def expected(row: dict[str, Any], dataset: str, head: str) -> float | None:
    """What the API says of a bucket under a head of the table."""
    if row["coverage"] == 0:
        return None
    match dataset:
        case "parking":
            column = "occupied_seconds"
        case "charging":
            column = f"status_{STATES[head]}_seconds"
        case "air_quality":
            column = f"pm2_5_{ {'Mean': 'mean', 'Lowest': 'min', 'Highest': 'max'}[head] }"
        case _:
            column = f"active_power_{ {'Mean': 'mean', 'Lowest': 'min', 'Highest': 'max'}[head] }"
    value: float | None = row[column]
    return value / BUCKET_S if value is not None and column.endswith("seconds") else value


@pytest.mark.parametrize(
    ("device", "dataset"),
    [
        ("lamp-viale-bligny-1", "air_quality"),
        ("bay-viale-bligny-4", "parking"),
        ("cp-lodi-1", "charging"),
        ("meter-tito-livio-main", "energy"),
    ],
)
async def test_a_chart_shows_the_numbers_of_the_api(page: Page, device: str, dataset: str) -> None:
    """A day is drawn, and told as a table, as a `bucket=` query answers it."""
    async with page.expect_response(re.compile(rf"/v1/datasets/{dataset}/readings\?.*bucket=")) as asked:
        await page.goto(f"/?device={device}")
    answer = await asked.value
    query = parse_qs(urlsplit(answer.url).query)
    assert (query["device"], query["bucket"]) == ([device], ["30m"])
    rows = (await answer.json())["data"]
    await page.get_by_text("As a table").click()
    await expect(page.locator(".numbers tbody tr")).to_have_count(len(rows))
    (_, *heads), *lines = await page.evaluate(TABLE)
    assert len(rows) >= 48
    # The newest stands above, and is not over yet.
    for row, (_, *cells) in list(zip(reversed(rows), lines, strict=True))[1:]:
        for head, cell in zip(heads, cells, strict=True):
            value = expected(row, dataset, head)
            assert (value is None) == (cell == NOTHING), (row, head)
            if value is not None:
                number, rounding = told(cell)
                assert number == pytest.approx(value, abs=rounding), (row, head)
    assert await page.evaluate(COLOURED) > 500


async def test_a_week_and_a_month(page: Page) -> None:
    """Longer times are asked in longer pieces, and the chart says which it shows."""
    await page.goto("/?device=bay-viale-bligny-4")
    for span, bucket in (("7 days", "3h"), ("30 days", "1d")):
        async with page.expect_response(re.compile(rf"bucket={bucket}&")):
            await page.get_by_role("button", name=span).click()
        await expect(page.get_by_role("img", name=f"Occupied, last {span}. Occupied")).to_be_visible()
