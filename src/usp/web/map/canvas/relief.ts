/** Where a city is equipped, as a landscape: the nearer to streets and devices, the higher; in three steps. */

import type { Metres } from "./geo";

/** Metres. */
const REACH = 240;
const FINEST = 40;
/** Cells along the longer side, at most. */
const CELLS = 150;
const MARGIN = 3 * REACH;
/** Heights at which a step begins: about 2, 1.4 and 0.9 of the reach away from a single spot. */
export const STEPS = [0.12, 0.35, 0.62] as const;

interface Field {
  west: number;
  south: number;
  cell: number;
  columns: number;
  rows: number;
  heights: Float32Array;
}

/** A piece of a band between two steps: what is around it, then what is around each of its holes. */
export interface Piece {
  band: number;
  rings: Metres[][];
}

interface Ring {
  ring: Metres[];
  /** Negative where it goes round clockwise. */
  size: number;
}

export interface Relief {
  /** The bands below each step, to lay over a ground as high as the last. */
  pieces: Piece[];
  contours: Metres[][];
}

/** A landscape as wide as `edge`, which is around everything. */
export function relief(points: readonly Metres[], edge: Metres[]): Relief {
  const field = heights(points);
  const contours = STEPS.map((height) => rings(field, height).map((ring) => measured(smooth(ring))));
  const turned = contours.map((each) => each.map(({ ring, size }) => ({ ring: [...ring].reverse(), size: -size })));
  const bands = STEPS.map((_, band) => [...(contours[band - 1] ?? [measured(edge)]), ...(turned[band] ?? [])]);
  return {
    pieces: bands.flatMap((found, band) => pieces(found).map((rings) => ({ band, rings }))),
    contours: contours.flat().map(({ ring }) => ring),
  };
}

function measured(ring: Metres[]): Ring {
  return { ring, size: area(ring) };
}

/** Each hole belongs to the smallest of the outlines around it. */
function pieces(found: readonly Ring[]): Metres[][][] {
  const outlines = found.filter(({ size }) => size > 0).sort((one, other) => one.size - other.size);
  const holes = found.filter(({ size }) => size < 0);
  const owner = holes.map(({ ring }) => outlines.findIndex((outline) => isWithin(ring[0] as Metres, outline.ring)));
  return outlines.map(({ ring }, n) => [ring, ...holes.filter((_, hole) => owner[hole] === n).map(({ ring }) => ring)]);
}

/** Whether a point lies within a ring: a ray from it crosses the ring an odd number of times. */
function isWithin([x, y]: Metres, ring: readonly Metres[]): boolean {
  const crossed = ring.slice(1).filter(([u, v], n) => {
    const [s, t] = ring[n] as Metres;
    return v > y !== t > y && x < ((s - u) * (y - v)) / (t - v) + u;
  });
  return crossed.length % 2 === 1;
}

function heights(points: readonly Metres[]): Field {
  const [east, north] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const low = (values: number[]) => values.reduce((one, other) => Math.min(one, other)) - MARGIN;
  const high = (values: number[]) => values.reduce((one, other) => Math.max(one, other)) + MARGIN;
  const [west, south] = [low(east), low(north)];
  const cell = Math.max(FINEST, Math.max(high(east) - west, high(north) - south) / CELLS);
  const columns = Math.ceil((high(east) - west) / cell) + 1;
  const rows = Math.ceil((high(north) - south) / cell) + 1;
  const depths = new Float32Array(columns * rows).fill(1);
  const reach = Math.max(REACH, 1.5 * cell);
  const around = Math.ceil((3 * reach) / cell);
  // One point of each cell is enough.
  const places = new Set(
    points.map(([x, y]) => Math.round((x - west) / cell) + columns * Math.round((y - south) / cell)),
  );
  for (const place of places) {
    const [column, row] = [place % columns, Math.floor(place / columns)];
    for (let r = Math.max(0, row - around); r <= Math.min(rows - 1, row + around); r += 1) {
      for (let c = Math.max(0, column - around); c <= Math.min(columns - 1, column + around); c += 1) {
        const away = ((r - row) ** 2 + (c - column) ** 2) * (cell / reach) ** 2;
        depths[c + columns * r] = (depths[c + columns * r] as number) * (1 - 0.9 * Math.exp(-away / 2));
      }
    }
  }
  return { west, south, cell, columns, rows, heights: depths.map((depth) => 1 - depth) };
}

/** Which sides of a cell a contour joins, by which of its corners are above: bottom left, bottom right, top right,
 * top left are 1, 2, 4, 8; sides are bottom 0, right 1, top 2, left 3; what is above lies to the left (marching squares).
 */
const JOINS: readonly (readonly [number, number])[][] = [
  [],
  [[0, 3]],
  [[1, 0]],
  [[1, 3]],
  [[2, 1]],
  [
    [0, 3],
    [2, 1],
  ],
  [[2, 0]],
  [[2, 3]],
  [[3, 2]],
  [[0, 2]],
  [
    [1, 0],
    [3, 2],
  ],
  [[1, 2]],
  [[3, 1]],
  [[0, 1]],
  [[3, 0]],
  [],
];

/** The closed contours at a height: anticlockwise around what is higher. */
function rings({ west, south, cell, columns, rows, heights }: Field, height: number): Metres[][] {
  const at = (column: number, row: number) => heights[column + columns * row] as number;
  /** The place on a side of a cell; its key is the same from both cells. */
  const side = (column: number, row: number, which: number): { key: string; point: Metres } => {
    const upright = which % 2 === 1;
    const [c, r] = [column + (which === 1 ? 1 : 0), row + (which === 2 ? 1 : 0)];
    const [from, to] = [at(c, r), upright ? at(c, r + 1) : at(c + 1, r)];
    const share = (height - from) / (to - from);
    const point: Metres = [west + (c + (upright ? 0 : share)) * cell, south + (r + (upright ? share : 0)) * cell];
    return { key: `${c} ${r} ${upright}`, point };
  };
  const next = new Map<string, { key: string; point: Metres }>();
  for (let row = 0; row < rows - 1; row += 1) {
    for (let column = 0; column < columns - 1; column += 1) {
      const corners = [at(column, row), at(column + 1, row), at(column + 1, row + 1), at(column, row + 1)];
      const above = corners.reduce((sum, corner, n) => sum + (corner > height ? 2 ** n : 0), 0);
      for (const [from, to] of JOINS[above] ?? []) next.set(side(column, row, from).key, side(column, row, to));
    }
  }
  const found: Metres[][] = [];
  while (next.size > 0) {
    const ring: Metres[] = [];
    let [here] = next.keys();
    for (let then = next.get(here ?? ""); then !== undefined; then = next.get(then.key)) {
      next.delete(here as string);
      here = then.key;
      ring.push(then.point);
    }
    if (ring.length > 2) found.push(ring);
  }
  return found;
}

/** Twice the area, negative where a ring goes round clockwise. */
function area(ring: readonly Metres[]): number {
  return ring.reduce((sum, [x, y], n) => {
    const [u, v] = ring[(n + 1) % ring.length] as Metres;
    return sum + x * v - u * y;
  }, 0);
}

/** Corners cut (Chaikin), closed. */
function smooth(ring: readonly Metres[]): Metres[] {
  const cut = ring.flatMap(([x, y], n): Metres[] => {
    const [u, v] = ring[(n + 1) % ring.length] as Metres;
    return [
      [0.75 * x + 0.25 * u, 0.75 * y + 0.25 * v],
      [0.25 * x + 0.75 * u, 0.25 * y + 0.75 * v],
    ];
  });
  return [...cut, cut[0] as Metres];
}
