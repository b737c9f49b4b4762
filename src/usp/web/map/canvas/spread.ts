/** Spots that would cover each other are pushed apart, so that each can be seen and hit. */

/** Pixels between two spots' edges where they are big enough to be hit. */
const GAP = 3;
/** Dots seen from afar may overlap, the farther the more: a street has to remain a line. */
const room = (zoom: number) => Math.min(0.95, Math.max(0.5, 0.95 - (14 - zoom) * 0.16));
const ROUNDS = 24;
/** How strongly a spot is drawn back to where it belongs. */
const HOMESICK = 0.06;
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

/** How big a spot is at a zoom, in pixels from its middle to its edge. */
const RADII: readonly [zoom: number, radius: number][] = [
  [10, 2],
  [12, 3.1],
  [13.5, 5],
  [14.5, 6.5],
  [15.2, 8.5],
  [16, 10],
  [17.5, 12],
  [20, 14],
];
/** From here on there is room for pictures. */
export const GLYPHS_FROM = 14.7;

export function radiusAt(zoom: number): number {
  const after = RADII.findIndex(([at]) => at > zoom);
  if (after === 0) return (RADII[0] as [number, number])[1];
  if (after === -1) return (RADII.at(-1) as [number, number])[1];
  const [from, small] = RADII[after - 1] as [number, number];
  const [to, big] = RADII[after] as [number, number];
  return small + ((big - small) * (zoom - from)) / (to - from);
}

/** Where each spot goes, in pixels from where it belongs, as x, y, x, y, …
 *
 * `at` has their places in pixels, in the same order, `sizes` how much bigger than others they are; `before` what was
 * found at the zoom above, so that a spot goes the same way at all zooms.
 */
export function spread(at: Float64Array, sizes: Float32Array, zoom: number, before: Float32Array | null): Float32Array {
  const near = zoom >= GLYPHS_FROM;
  const radii = sizes.map((size) => size * radiusAt(zoom) * (near ? 1 : room(zoom)) + (near ? GAP / 2 : 0));
  // Two at the same place need a direction to part.
  const turn = (axis: number) => (axis % 2 === 0 ? Math.cos : Math.sin)((axis >> 1) * GOLDEN_ANGLE) / 50;
  const now = at.map((place, axis) => place + (before?.[axis] ?? turn(axis)) / 2);
  const order = Uint32Array.from(radii, (_, n) => n).sort((n, m) => (now[2 * n] as number) - (now[2 * m] as number));
  const most = radii.reduce((one, other) => Math.max(one, other), 0);
  const crowded = new Uint8Array(radii.length);
  for (let round = 0; round < ROUNDS; round += 1) {
    const moved = part({ now, order, radii, most, crowded });
    if (moved === 0 || (moved < 0.2 && round >= ROUNDS / 2)) break;
    if (round >= ROUNDS / 2) continue;
    for (let axis = 0; axis < now.length; axis += 1) {
      if (crowded[axis >> 1]) now[axis] = (now[axis] as number) * (1 - HOMESICK) + (at[axis] as number) * HOMESICK;
    }
  }
  const settled = (axis: number) => !crowded[axis >> 1] && Math.abs(before?.[axis] ?? 0) < 0.5;
  return Float32Array.from(now, (place, axis) => (settled(axis) ? 0 : place - (at[axis] as number)));
}

interface Crowd {
  /** x, y, x, y, … */
  now: Float64Array;
  /** From left to right. */
  order: Uint32Array;
  radii: Float32Array;
  /** The biggest of them. */
  most: number;
  /** Those that had to move. */
  crowded: Uint8Array;
}

/** Push each two that overlap apart, once; the largest step. */
function part({ now, order, radii, most, crowded }: Crowd): number {
  const x = (n: number) => now[2 * n] as number;
  // They have hardly moved since the last time: each goes a few places to the left.
  for (let index = 1; index < order.length; index += 1) {
    const spot = order[index] as number;
    let to = index;
    for (; to > 0 && x(order[to - 1] as number) > x(spot); to -= 1) order[to] = order[to - 1] as number;
    order[to] = spot;
  }
  let moved = 0;
  for (let index = 0; index < order.length; index += 1) {
    const n = order[index] as number;
    for (let other = index + 1; other < order.length; other += 1) {
      const m = order[other] as number;
      const wanted = (radii[n] as number) + (radii[m] as number);
      const [dx, dy] = [x(m) - x(n), (now[2 * m + 1] as number) - (now[2 * n + 1] as number)];
      if (dx > (radii[n] as number) + most) break;
      if (Math.abs(dy) >= wanted || dx * dx + dy * dy >= wanted * wanted) continue;
      const apart = Math.hypot(dx, dy) || 1;
      const step = (wanted - apart) / 2;
      now[2 * n] = x(n) - (dx / apart) * step;
      now[2 * n + 1] = (now[2 * n + 1] as number) - (dy / apart) * step;
      now[2 * m] = x(m) + (dx / apart) * step;
      now[2 * m + 1] = (now[2 * m + 1] as number) + (dy / apart) * step;
      crowded[n] = 1;
      crowded[m] = 1;
      moved = Math.max(moved, step);
    }
  }
  return moved;
}
