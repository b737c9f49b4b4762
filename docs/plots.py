"""Makes the pictures of query-data.md from a running demonstration, through its API alone.

`make run` in one terminal; in another, once it has caught up with the present: `.venv/bin/python docs/plots.py`. The
demonstration's address may follow, if it is not http://127.0.0.1:8000, and another folder for the pictures. They show
the day before.
"""

# ruff: noqa: INP001 - a script beside the pages, no package

import io
import json
import math
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import matplotlib as mpl
import pandas as pd
from matplotlib import dates, ticker
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

HERE = "http://127.0.0.1:8000"
IMAGES = Path(__file__).parent / "images"
ROME = ZoneInfo("Europe/Rome")
LAMPS = {
    "lamp-corso-lodi-1": ("Corso Lodi", "#0b4f6c"),
    "lamp-viale-sarfatti-1": ("Viale Sarfatti", "#c8553d"),
    "lamp-viale-monte-nero-1": ("Viale Monte Nero", "#588157"),
}
STATION, STATION_TITLE = "mobility-area-lodi", "Area di mobilità Lodi"
STATES = {
    "available": "#dfe5e8",
    "preparing": "#f2cc8f",
    "charging": "#2a7f62",
    "suspended": "#8ab6a5",
    "finishing": "#e0a458",
    "reserved": "#9a8c98",
    "unavailable": "#6c757d",
    "faulted": "#b23a48",
}
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 130,
}
HOUR = 3600
#: Lampposts closer than this, in degrees, would cover each other's labels.
NEAR = 0.0018


class Api:
    """The API of a demonstration."""

    def __init__(self, address: str) -> None:
        self._address = address

    def url(self, dataset: str, **params: str) -> str:
        """The address of some readings."""
        return f"{self._address}/v1/datasets/{dataset}/readings?{urlencode(params)}"

    def frame(self, dataset: str, **params: str) -> Any:
        """Rows as a table, their times in Milan's clock."""
        rows = pd.read_parquet(self.url(dataset, format="parquet", **params))
        for name in rows.columns.intersection(["time", "start"]):
            rows[name] = rows[name].dt.tz_convert(ROME)
        return rows

    def features(self, dataset: str, **params: str) -> list[dict[str, Any]]:
        """Rows as points on the map."""
        with urlopen(self.url(dataset, format="geojson", **params)) as answer:  # noqa: S310 - an address of ours
            found: list[dict[str, Any]] = json.load(answer)["features"]
        return found


def local(day: date, hour: int = 0) -> str:
    """An hour of a day in Milan."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=ROME).isoformat()


def dust(api: Api, day: date) -> Any:
    """A day of fine dust at three lampposts: each minute, and hourly means."""
    span = {"from": local(day), "to": local(day + timedelta(days=1))}
    asked = {"device": ",".join(LAMPS), "properties": "pm2_5", **span}
    minutes, hours = api.frame("air_quality", **asked), api.frame("air_quality", bucket="1h", **asked)
    figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    for name, (title, colour) in LAMPS.items():
        raw, means = minutes[minutes.device == name], hours[hours.device == name]
        axes.plot(raw.time, raw.pm2_5, color=colour, linewidth=0.5, alpha=0.35)
        edges = [*means.start, means.start.iloc[-1] + pd.Timedelta(hours=1)]
        axes.stairs(means.pm2_5_mean, dates.date2num(edges), baseline=None, color=colour, linewidth=1.8, label=title)
    axes.set_title(f"Fine dust on {day:%-d %B %Y}: every minute, and means of each hour")
    axes.set_ylabel("PM2.5 in µg/m³")
    axes.set_xlabel("hour in Milan")
    _hours(axes, day)
    axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.45, 1.02))
    return figure


def noise(api: Api, day: date) -> Any:
    """Where it was loud in the night that began on that day."""
    span = {"from": local(day, 22), "to": local(day + timedelta(days=1), 6)}
    features = api.features("noise", bucket="whole", properties="laeq", **span)
    points = [(*f["geometry"]["coordinates"], f["properties"]["laeq_mean"]) for f in features]
    lon, lat, level = zip(*points, strict=True)
    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    shown = axes.scatter(lon, lat, c=level, s=110, cmap="YlOrRd", edgecolors="#444444", linewidths=0.6, zorder=2)
    for east, north, decibels in points:
        crowded = any(0.0003 < x - east < NEAR and abs(y - north) < NEAR for x, y, _ in points)
        side, align = (-8, "right") if crowded else (8, "left")
        axes.annotate(
            f"{decibels:.0f}", (east, north), (side, 0), textcoords="offset points", ha=align, va="center", fontsize=8
        )
    # A degree of longitude is shorter than one of latitude.
    axes.set_aspect(1 / math.cos(math.radians(lat[0])))
    axes.margins(0.08)
    axes.grid(visible=True, color="#eeeeee", zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.MultipleLocator(0.01))
        axis.set_major_formatter("{x:.2f}")
    axes.set_xlabel("longitude in °")
    axes.set_ylabel("latitude in °")
    axes.set_title(f"Sound at night, {day:%-d %B %Y}, 22:00 to 06:00")
    figure.colorbar(shown, ax=axes, label="equivalent level LAeq in dB(A)", shrink=0.8)
    return figure


def charging(api: Api, day: date) -> Any:
    """What the points of a station did that day."""
    span = {"from": local(day), "to": local(day + timedelta(days=1))}
    rows = api.frame("charging", site=STATION, bucket="1d", properties="status,energy", **span).sort_values("device")
    figure, axes = plt.subplots(figsize=(7.2, 2.9), layout="constrained")
    left = pd.Series(0.0, rows.index)
    for state, colour in STATES.items():
        hours = rows[f"status_{state}_seconds"] / HOUR
        if hours.sum():
            axes.barh(rows.device, hours, left=left, color=colour, label=state, height=0.7)
        left += hours
    for number, energy in enumerate(rows.energy_increase):
        axes.annotate(f"{energy:.0f} kWh", (24.3, number), va="center", annotation_clip=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_xlabel("hours in each state, blank where unknown; at the right, energy delivered")
    axes.set_title(f"{STATION_TITLE} on {day:%-d %B %Y}")
    figure.legend(ncols=4, loc="outside lower center")
    return figure


def _hours(axes: Axes, day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=ROME)
    axes.set_xlim(start, start + timedelta(days=1))
    axes.xaxis.set_major_locator(dates.HourLocator(byhour=range(0, 24, 3), tz=ROME))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%-H", tz=ROME))


def _written(figure: Any, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn)
    plt.close(figure)
    # So few colours are enough, and make a small file.
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


def main(address: str = HERE, folder: str = "") -> None:
    """Make all pictures."""
    api, images = Api(address), Path(folder) if folder else IMAGES
    images.mkdir(exist_ok=True)
    yesterday = datetime.now(ROME).date() - timedelta(days=1)
    with mpl.rc_context(STYLE):
        for name, picture in PICTURES.items():
            _written(picture(api, yesterday), images / name)


#: File -> what is drawn there.
PICTURES = {"pm2_5-day.png": dust, "noise-night.png": noise, "charging-day.png": charging}

if __name__ == "__main__":
    main(*sys.argv[1:3])
