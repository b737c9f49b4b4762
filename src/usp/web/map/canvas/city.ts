/** The map and what it listens to: the registry, the stream, the reader. */

import { effect, signal, untracked } from "@preact/signals";
import { type GeoJSONSource, Map as GLMap, ScaleControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import { language, t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { type Selection, selection, view } from "../choice";
import { type Paint, paint, shown } from "../look";
import { type Spot, settings, sites, spots, takeChanged, told } from "../store";
import { Camera } from "./camera";
import { ground } from "./ground";
import { SpotLayer } from "./layer";
import { palette } from "./palette";
import { lampScale, powerScale } from "./scale";
import { BELOW_NAMES, OBSTACLE, OBSTACLE_SIZE, style } from "./style";

setWorkerUrl(workerUrl);

/** Pixels: how far from a spot a mouse, and how far a finger may be off. */
const MOUSE = 6;
const FINGER = 24;
/** What has fallen silent is looked for so often. */
const SILENCE_MS = 20_000;
const HINT = 0.55;

export interface Hovered {
  spot: Spot;
  x: number;
  y: number;
  /** Of the map. */
  width: number;
}
export const hovered = signal<Hovered | null>(null);

let city: City | null = null;

/** Move the map so that all these can be seen beside the panel. */
export function fitTo(wanted: readonly Spot[]): void {
  city?.camera.fit(wanted, true);
}

/** Show everything. */
export function fitAll(): void {
  fitTo(spots.peek());
}

export function zoomBy(levels: number): void {
  city?.camera.zoomBy(levels);
}

/** Draw the map into an element; throws where there is no WebGL. What comes back ends it. */
export function open(container: HTMLElement): () => void {
  const opened = new City(container);
  city = opened;
  return () => {
    city = null;
    hovered.value = null;
    opened.close();
  };
}

function matches(chosen: Selection, spot: Spot): boolean {
  if (chosen === null) return false;
  if ("site" in chosen) return spot.site === chosen.site;
  return spot.devices.some(({ device }) => device === chosen.device);
}

class City {
  readonly camera: Camera;
  private readonly map: GLMap;
  private readonly layer = new SpotLayer();
  private readonly scale = new ScaleControl({ maxWidth: 110 });
  private readonly ends: (() => void)[] = [];
  private readonly byDevice = new Map<string, number>();
  private placed = false;
  private clicked: Selection = null;
  private readonly painted = new Map<string, Paint>();

  constructor(private readonly container: HTMLElement) {
    const at = view.peek();
    this.map = new GLMap({
      container,
      style: style(palette()),
      center: at === null ? [0, 0] : [at.lon, at.lat],
      zoom: at?.zoom ?? 1,
      minZoom: 9,
      maxZoom: 20,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      attributionControl: false,
      renderWorldCopies: false,
      locale: { "Map.Title": t("map.label") },
    });
    this.camera = new Camera(this.map);
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(this.scale, "bottom-left");
    // Once at the beginning, and again after the graphics card was lost.
    this.map.on("style.load", () => this.dress());
    this.map.on("resize", () => this.fitUntouched());
    this.listenToPointer();
  }

  close(): void {
    for (const end of this.ends) end();
    this.map.remove();
  }

  /** What the style does not hold, and what it follows. */
  private dress(): void {
    for (const end of this.ends.splice(0)) end();
    this.placed = false;
    const nothing = { width: OBSTACLE_SIZE, height: OBSTACLE_SIZE, data: new Uint8Array(4 * OBSTACLE_SIZE ** 2) };
    if (!this.map.hasImage(OBSTACLE)) this.map.addImage(OBSTACLE, nothing);
    this.map.addLayer(this.layer, BELOW_NAMES);
    const follow = (what: () => void) => this.ends.push(effect(what));
    follow(() => this.recolour());
    follow(() => this.putTiles());
    follow(() => this.place());
    follow(() => this.repaintAll());
    follow(() => this.repaintChanged());
    follow(() => this.follow(selection.value));
    follow(() => this.camera.goTo());
    follow(() => {
      language.value;
      this.map.getCanvas().setAttribute("aria-label", t("map.label"));
    });
    const timer = setInterval(() => this.repaint(spots.peek().keys(), false), SILENCE_MS);
    this.ends.push(() => clearInterval(timer));
  }

  private recolour(): void {
    for (const { id, paint: colours } of style(palette()).layers) {
      for (const [name, value] of Object.entries(colours ?? {})) {
        this.map.setPaintProperty(id, name as Parameters<GLMap["setPaintProperty"]>[1], value);
      }
    }
  }

  /** Tiles, where the operator has named some, in place of the own background. */
  private putTiles(): void {
    const { tiles } = settings.value;
    if (tiles === null || this.map.getSource("tiles") !== undefined) return;
    this.map.addSource("tiles", { type: "raster", tiles: [tiles.url], tileSize: 256 });
    for (const layer of this.map.getLayersOrder()) {
      const { source, type } = this.map.getLayer(layer) ?? {};
      if (source === "ground" && type !== "symbol") this.map.setLayoutProperty(layer, "visibility", "none");
    }
    this.map.addLayer({ id: "tiles", type: "raster", source: "tiles" }, this.layer.id);
  }

  private place(): void {
    const placed = spots.value;
    (this.map.getSource("ground") as GeoJSONSource).setData(ground(placed, sites.value));
    this.byDevice.clear();
    for (const [index, spot] of placed.entries()) {
      for (const { device } of spot.devices) this.byDevice.set(device, index);
    }
    this.layer.place(placed);
    this.placed = placed.length > 0;
    // For tests and measurements: how many there are to be seen.
    this.container.dataset.spots = String(placed.length);
    untracked(() => {
      this.repaint(placed.keys(), false);
      this.mark();
      this.fitUntouched();
    });
  }

  private fitUntouched(): void {
    if (this.camera.touched || !this.placed) return;
    const chosen = spots.peek().filter((spot) => matches(selection.peek(), spot));
    this.camera.fit(chosen.length > 0 ? chosen : spots.peek(), false);
  }

  private repaintAll(): void {
    palette();
    lampScale.value;
    powerScale.value;
    const seen = spots.value.map(shown);
    untracked(() => this.repaint(seen.keys(), false));
  }

  private repaintChanged(): void {
    told.value;
    const changed = [...takeChanged()].map((device) => this.byDevice.get(device));
    const indices = new Set(changed.filter((index) => index !== undefined));
    untracked(() => this.repaint(indices, connection.peek() === "live"));
  }

  private repaint(indices: Iterable<number>, news: boolean): void {
    const all = spots.peek();
    for (const index of indices) {
      const spot = all[index];
      if (spot === undefined) continue;
      const now = paint(spot);
      // What is heard of for the first time is no news.
      const before = this.painted.get(spot.id);
      this.painted.set(spot.id, now);
      this.layer.paint(index, now, shown(spot), news && before?.silent === false && !now.silent);
    }
  }

  private mark(): void {
    const marks = new Map<number, number>();
    const chosen = selection.peek();
    // One is ringed; of a street, which may be crowded, all are, but softly.
    const strength = chosen !== null && "device" in chosen ? 1 : HINT;
    for (const [index, spot] of spots.peek().entries()) if (matches(chosen, spot)) marks.set(index, strength);
    const over = hovered.peek();
    if (over !== null) {
      const index = this.byDevice.get(over.spot.devices[0]?.device ?? "");
      if (index !== undefined && !marks.has(index)) marks.set(index, HINT);
    }
    this.layer.mark(marks);
  }

  /** Mark what is chosen, and go there where it cannot be seen well. */
  private follow(chosen: Selection): void {
    untracked(() => {
      this.mark();
      const wanted = spots.peek().filter((spot) => matches(chosen, spot));
      const byHand = chosen === this.clicked;
      this.clicked = null;
      if (this.placed && wanted.length > 0 && !byHand && !this.camera.shows(wanted)) this.camera.fit(wanted, true);
    });
  }

  private listenToPointer(): void {
    const { map } = this;
    map.on("click", ({ point, originalEvent }) => {
      const finger = originalEvent instanceof PointerEvent && originalEvent.pointerType !== "mouse";
      const index = this.layer.nearest(point.x, point.y, finger ? FINGER : MOUSE);
      const spot = index === null ? undefined : spots.peek()[index];
      if (spot === undefined) return;
      this.clicked = spot.building ? { site: spot.id } : { device: spot.id };
      selection.value = this.clicked;
    });
    map.on("mousemove", ({ point }) => this.point(point.x, point.y));
    map.on("mouseout", () => this.unpoint());
    map.on("movestart", () => this.unpoint());
  }

  private point(x: number, y: number): void {
    if (this.map.isMoving()) return;
    const index = this.layer.nearest(x, y, MOUSE);
    const spot = index === null ? undefined : spots.peek()[index];
    if (spot === undefined) {
      this.unpoint();
      return;
    }
    const before = hovered.peek()?.spot;
    hovered.value = { spot, x, y, width: this.container.clientWidth };
    if (before !== spot) this.mark();
    this.map.getCanvas().style.cursor = "pointer";
  }

  private unpoint(): void {
    if (hovered.peek() === null) return;
    hovered.value = null;
    this.mark();
    this.map.getCanvas().style.cursor = "";
  }
}
