/** All spots as one layer of the map: one call draws them, and a change is a few bytes. */

import { type CustomLayerInterface, type Map as GLMap, LngLat, MercatorCoordinate } from "maplibre-gl";
import { glyphName, type Paint } from "../look";
import type { Spot } from "../store";
import { ACROSS, atlas, CELL, DOWN, PICTURES } from "./atlas";
import { attribute, program, type Uniforms, uniforms } from "./gl";
import { palette } from "./palette";
import { FRAGMENT, VERTEX } from "./shader";
import { GLYPHS_FROM, radiusAt, spread } from "./spread";

/** Size, roundness, whether it stands on its corner: kinds differ in form, not only in picture. */
const ROUND = [1.04, 1, 0] as const;
const FORMS: Record<string, readonly [number, number, number]> = {
  parking_sensor: [1, 0.42, 0],
  charging_point: ROUND,
  lamppost: [1.06, 0.45, 1],
  energy_meter: [1.22, 0.2, 0],
};
/** Bytes of a spot's colours: fill, ring and ink; then whether it is seen, and how it is marked. */
const COLOURS = 16;
const PULSE_S = 1.6;
const TILE = 512;
/** The zoom at which spots begin to make room for each other; from there on outwards. */
const CLOSEST = 20;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class SpotLayer implements CustomLayerInterface {
  readonly id = "spots";
  readonly type = "custom";

  private map: GLMap | null = null;
  private drawing: Drawing | null = null;
  private spots: readonly Spot[] = [];
  private origin = new MercatorCoordinate(0.5, 0.5);
  /** In worlds from the origin: x, y, x, y, … */
  private places = new Float64Array();
  private sizes = new Float32Array();
  private colours = new Uint8Array();
  private changed = new Float32Array();
  private readonly away = new Map<number, Float32Array>();
  private marked = false;
  private pulsesUntil = 0;
  /** What the graphics card does not have yet. */
  private stale = { spots: true, colours: true, level: Number.NaN };

  onAdd(map: GLMap, gl: WebGL2RenderingContext): void {
    this.map = map;
    this.drawing = new Drawing(gl);
    this.stale = { spots: true, colours: true, level: Number.NaN };
  }

  onRemove(): void {
    this.map = null;
    this.drawing = null;
  }

  /** Other spots, all of them unseen until they are painted. */
  place(spots: readonly Spot[]): void {
    const at = spots.map(({ lon, lat }) => MercatorCoordinate.fromLngLat([lon, lat]));
    this.spots = spots;
    this.origin = at[Math.floor(at.length / 2)] ?? this.origin;
    this.places = Float64Array.from(at.flatMap(({ x, y }) => [x - this.origin.x, y - this.origin.y]));
    // Corners reach farther than sides.
    this.sizes = Float32Array.from(spots, ({ kind }) => (FORMS[kind] ?? ROUND)[0] * (FORMS[kind] === ROUND ? 1 : 1.12));
    this.colours = new Uint8Array(spots.length * COLOURS);
    this.changed = new Float32Array(spots.length).fill(-1000);
    this.away.clear();
    this.stale = { spots: true, colours: true, level: Number.NaN };
    this.map?.triggerRepaint();
  }

  /** Give a spot its colours, or hide it; with a pulse where the change is news. */
  paint(index: number, look: Paint, seen: boolean, news: boolean): void {
    // Registry and spots change together; who is new is placed a moment later.
    if (index >= this.spots.length) return;
    const bytes = [...rgba(look.fill), ...rgba(look.ring), ...rgba(look.ink), seen ? 255 : 0];
    const at = index * COLOURS;
    if (bytes.every((byte, n) => this.colours[at + n] === byte)) return;
    this.colours.set(bytes, at);
    this.stale.colours = true;
    if (news && !calm.matches) {
      this.changed[index] = performance.now() / 1000;
      this.pulsesUntil = performance.now() + PULSE_S * 1000;
    }
    this.map?.triggerRepaint();
  }

  /** Mark the spots that are chosen (1) or pointed at (less). */
  mark(marks: ReadonlyMap<number, number>): void {
    for (let index = 0; index < this.spots.length; index += 1) {
      this.colours[index * COLOURS + 13] = 255 * (marks.get(index) ?? 0);
    }
    this.marked = marks.size > 0;
    this.stale.colours = true;
    this.map?.triggerRepaint();
  }

  /** The seen spot nearest to a point of the map, in pixels, at most so many away. */
  nearest(x: number, y: number, within: number): number | null {
    if (this.map === null) return null;
    const { origin, world, radius, before, after, share } = this.view(this.map);
    let best: number | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < this.spots.length; n += 1) {
      if (this.colours[n * COLOURS + 12] === 0) continue;
      const shift = (axis: number) =>
        (before[2 * n + axis] as number) * (1 - share) + (after[2 * n + axis] as number) * share;
      const dx = (this.places[2 * n] as number) * world + origin.x + shift(0) - x;
      const dy = (this.places[2 * n + 1] as number) * world + origin.y + shift(1) - y;
      const distance = Math.hypot(dx, dy) - (this.sizes[n] as number) * radius;
      if (distance < Math.min(least, within)) [best, least] = [n, distance];
    }
    return best;
  }

  render(): void {
    const { map, drawing } = this;
    if (map === null || drawing === null || this.spots.length === 0) return;
    const view = this.view(map);
    if (this.stale.spots) drawing.spots(this.places, this.spots);
    if (this.stale.level !== view.level) drawing.away(view.before, view.after);
    if (this.stale.colours) drawing.colours(this.colours, this.changed);
    this.stale = { spots: false, colours: false, level: view.level };
    drawing.draw(this.spots.length, {
      size: [map.getCanvas().clientWidth, map.getCanvas().clientHeight],
      origin: [view.origin.x, view.origin.y],
      world: view.world,
      between: view.share,
      radius: view.radius,
      now: performance.now() / 1000,
      news: this.marked || performance.now() < this.pulsesUntil ? 1 : 0,
      glyphs: Math.min(1, Math.max(0, (map.getZoom() - GLYPHS_FROM) * 4)),
      sharp: map.getPixelRatio(),
      halo: rgba(palette().halo).map((byte) => byte / 255),
      accent: rgba(palette().accent).map((byte) => byte / 255),
    });
    if (performance.now() < this.pulsesUntil) map.triggerRepaint();
  }

  private view(map: GLMap) {
    const zoom = map.getZoom();
    const level = Math.floor(zoom);
    const at = this.origin.toLngLat();
    return {
      level,
      share: zoom - level,
      world: TILE * 2 ** zoom,
      radius: radiusAt(zoom),
      origin: map.project(new LngLat(at.lng, at.lat)),
      before: this.awayAt(level),
      after: this.awayAt(level + 1),
    };
  }

  /** How far spots make room for each other at a whole zoom. */
  private awayAt(level: number): Float32Array {
    const known = this.away.get(level);
    if (known !== undefined) return known;
    const world = TILE * 2 ** level;
    const found = spread(
      this.places.map((place) => place * world),
      this.sizes,
      level,
      level < CLOSEST ? this.awayAt(level + 1) : null,
    );
    this.away.set(level, found);
    return found;
  }
}

interface View {
  size: number[];
  origin: number[];
  world: number;
  between: number;
  radius: number;
  now: number;
  news: number;
  glyphs: number;
  sharp: number;
  halo: number[];
  accent: number[];
}

/** What the graphics card keeps. */
class Drawing {
  private readonly program: WebGLProgram;
  private readonly uniforms: Uniforms;
  private readonly array: WebGLVertexArrayObject;
  private readonly pictures: WebGLTexture;
  private readonly most: number;
  private readonly buffers: Record<"spots" | "away" | "colours" | "changed", WebGLBuffer>;

  constructor(private readonly gl: WebGL2RenderingContext) {
    this.program = program(gl, VERTEX, FRAGMENT);
    this.uniforms = uniforms(gl, this.program);
    this.pictures = atlas(gl);
    this.most = (gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE) as Float32Array)[1] ?? 64;
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    const attach = (name: string, size: number, type: number, stride: number, offset: number) =>
      attribute(gl, gl.getAttribLocation(this.program, name), size, type, stride, offset);
    const buffer = () => {
      const made = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, made);
      return made;
    };
    const spots = buffer();
    attach("a_place", 2, gl.FLOAT, 24, 0);
    attach("a_shape", 4, gl.FLOAT, 24, 8);
    const away = buffer();
    attach("a_away", 4, gl.FLOAT, 16, 0);
    const colours = buffer();
    attach("a_fill", 4, gl.UNSIGNED_BYTE, COLOURS, 0);
    attach("a_ring", 4, gl.UNSIGNED_BYTE, COLOURS, 4);
    attach("a_ink", 4, gl.UNSIGNED_BYTE, COLOURS, 8);
    attach("a_state", 2, gl.UNSIGNED_BYTE, COLOURS, 12);
    const changed = buffer();
    attach("a_changed", 1, gl.FLOAT, 4, 0);
    this.buffers = { spots, away, colours, changed };
    gl.bindVertexArray(null);
  }

  spots(places: Float64Array, spots: readonly Spot[]): void {
    const rows = spots.flatMap((spot, n) => [
      places[2 * n] as number,
      places[2 * n + 1] as number,
      ...(FORMS[spot.kind] ?? ROUND),
      PICTURES.indexOf(glyphName(spot)),
    ]);
    this.fill("spots", Float32Array.from(rows));
  }

  away(before: Float32Array, after: Float32Array): void {
    const rows = new Float32Array(2 * before.length);
    for (let n = 0; n < before.length; n += 2) {
      rows.set([before[n] as number, before[n + 1] as number, after[n] as number, after[n + 1] as number], 2 * n);
    }
    this.fill("away", rows);
  }

  colours(colours: Uint8Array<ArrayBuffer>, changed: Float32Array<ArrayBuffer>): void {
    this.fill("colours", colours);
    this.fill("changed", changed);
  }

  private fill(name: keyof Drawing["buffers"], rows: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[name]);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, rows, this.gl.DYNAMIC_DRAW);
  }

  draw(count: number, view: View): void {
    const { gl } = this;
    gl.useProgram(this.program);
    for (const [name, value] of Object.entries(view)) this.uniforms(name, value);
    this.uniforms("most", this.most);
    this.uniforms("cells", [ACROSS, DOWN]);
    this.uniforms("cell", CELL);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.pictures);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(this.array);
    gl.drawArrays(gl.POINTS, 0, count);
    gl.bindVertexArray(null);
  }
}

const known = new Map<string, readonly number[]>();
/** A colour of ours, `#rrggbb`, as bytes. */
function rgba(colour: string): readonly number[] {
  let bytes = known.get(colour);
  if (bytes === undefined) {
    bytes = [...[1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)), 255];
    known.set(colour, bytes);
  }
  return bytes;
}
