/** Where the map looks: at everything, until the reader says otherwise. */

import { type Map as GLMap, LngLatBounds, type PaddingOptions } from "maplibre-gl";
import { view } from "../choice";
import type { Spot } from "../store";

/** Zooms: as near as it goes by itself, and what is too far to see one thing well. */
const CLOSE = 16.2;
const FAR = 14.5;
/** Pixels. */
const MARGIN = 56;
/** Where the scale and the credits are. */
const CREDITS = 76;

export class Camera {
  /** Whether somebody has moved the map. */
  touched = view.peek() !== null;

  constructor(private readonly map: GLMap) {
    map.on("moveend", (event) => this.moved(event));
  }

  zoomBy(levels: number): void {
    this.map.easeTo({ zoom: this.map.getZoom() + levels, duration: 250 }, { chosen: true });
  }

  /** Show all these; `chosen` where the reader wants it, so that it is kept in the page's address. */
  fit(wanted: readonly Spot[], chosen: boolean): void {
    if (wanted.length === 0) return;
    const bounds = new LngLatBounds();
    for (const { lon, lat } of wanted) bounds.extend([lon, lat]);
    const padding = this.covered(Math.min(MARGIN, this.map.getContainer().clientWidth / 14));
    padding.bottom = Math.max(padding.bottom ?? 0, this.covered(CREDITS).bottom ?? 0);
    this.map.fitBounds(bounds, { padding, maxZoom: CLOSE, animate: chosen, duration: 900 }, { chosen });
  }

  /** Whether all these can be seen, and well enough. */
  shows(wanted: readonly Spot[]): boolean {
    const { top = 0, left = 0, right = 0, bottom = 0 } = this.covered();
    const { clientWidth, clientHeight } = this.map.getContainer();
    const inSight = wanted.every(({ lon, lat }) => {
      const { x, y } = this.map.project([lon, lat]);
      return x > left && x < clientWidth - right && y > top && y < clientHeight - bottom;
    });
    return inSight && this.map.getZoom() >= FAR;
  }

  /** Where the page's address says, after a step back. */
  goTo(): void {
    const at = view.value;
    if (at === null) return;
    const { lng, lat } = this.map.getCenter();
    const near = Math.abs(lng - at.lon) < 1e-5 && Math.abs(lat - at.lat) < 1e-5;
    if (near && Math.abs(this.map.getZoom() - at.zoom) < 0.01) return;
    this.touched = true;
    this.map.jumpTo({ center: [at.lon, at.lat], zoom: at.zoom });
  }

  private moved(event: object): void {
    const byReader = ("originalEvent" in event && event.originalEvent !== undefined) || "chosen" in event;
    if (!byReader || ("chosen" in event && event.chosen !== true)) return;
    this.touched = true;
    const { lng, lat } = this.map.getCenter();
    view.value = { lon: lng, lat, zoom: this.map.getZoom() };
  }

  /** What the page lays over the map, as it says in `--covered-left` and so on. */
  private covered(more = 0): PaddingOptions {
    const told = getComputedStyle(this.map.getContainer());
    const side = (name: string) => (Number.parseFloat(told.getPropertyValue(`--covered-${name}`)) || 0) + more;
    return { top: side("top"), right: side("right"), bottom: side("bottom"), left: side("left") };
  }
}
