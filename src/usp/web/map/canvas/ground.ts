/** The map's own background, from nothing but the registry: streets, squares, mobility areas, buildings, the district.
 *
 * It is a drawing, not a survey: a street runs where its devices stand.
 */

import type { Feature, FeatureCollection, Geometry } from "geojson";
import type { Site, Spot } from "../store";
import { circle, direction, type Metres, middle, type Plane, planeAt } from "./geo";
import { relief } from "./relief";

/** Metres around the equator (WGS 84). */
const EARTH = 40_075_017;
/** Metres. */
const DEGREE = EARTH / 360;
const BEYOND_LAST_DEVICE = 240;
const BETWEEN_BENDS = 250;
const SHORTEST_STREET = 25;
const PACE = 60;
const CROWD = 25;
const SQUARE = 34;
const PAD = 26;
/** Half sides of a block around a courtyard, as they are built there, and of the courtyard. */
const BLOCK: Metres = [21, 15];
const COURTYARD: Metres = [11, 5.5];
const CORNERS = [
  [1, 1],
  [-1, 1],
  [-1, -1],
  [1, -1],
  [1, 1],
] as const;
/** Degrees between the lines of the grid, and how many there may be. */
const GRID = [0.01, 0.1, 1, 10];
const MOST_LINES = 20;
/** Lines beyond the last spot. */
const BEYOND = 45;

interface Street {
  along: Metres[];
  axis: Metres;
}

export function ground(spots: readonly Spot[], sites: ReadonlyMap<string, Site>): FeatureCollection {
  if (spots.length === 0) return { type: "FeatureCollection", features: [] };
  const lons = spots.map(({ lon }) => lon);
  const lats = spots.map(({ lat }) => lat);
  const [west, east, south, north] = [least(lons), most(lons), least(lats), most(lats)];
  const plane = planeAt([(west + east) / 2, (south + north) / 2]);
  const places = [...bySite(spots)].map(([name, there]): Stand => {
    const points = there.map(({ lon, lat }) => plane.flat([lon, lat]));
    return { title: sites.get(name)?.title ?? name, spots: there, points, street: streetAlong(points) };
  });
  const streets = places.map(({ street }) => street).filter((street) => street !== null);
  const features = [
    ...landscape(spots, streets, plane),
    ...grid(west, south, east, north),
    ...ranked(places.flatMap((place) => draw(place, streets, plane))),
    ...obstacles(spots, plane),
  ];
  return { type: "FeatureCollection", features };
}

/** What stands at a site, and the street it makes, if it does. */
interface Stand {
  title: string;
  spots: Spot[];
  points: Metres[];
  street: Street | null;
}

/** A site is a building, a mobility area, a street, or else a square. */
function draw({ title, spots, points, street }: Stand, streets: readonly Street[], plane: Plane): Feature[] {
  const [at, count] = [middle(points), spots.length];
  if (spots.some(({ building }) => building)) {
    return [...block(at, nearestAxis(at, streets), plane), label(title, at, plane, 1, BLOCK[0])];
  }
  if (spots.some(({ kind, category }) => kind === "charging_point" || category === "mobility_area")) {
    const metres = most(points.map(([x, y]) => Math.hypot(x - at[0], y - at[1]))) + PAD;
    return [area("pad", circle(at, metres), plane), label(title, at, plane, count, metres)];
  }
  if (street === null) {
    return [area("square", circle(at, SQUARE), plane), label(title, at, plane, count, SQUARE)];
  }
  const geometry: Geometry = { type: "LineString", coordinates: street.along.map((point) => plane.round(point)) };
  return [{ type: "Feature", properties: { is: "street", title, devices: count }, geometry }];
}

/** What has a name learns how many of its sort have more devices: from afar only the first are named. */
function ranked(features: Feature[]): Feature[] {
  for (const sort of ["street", "place"]) {
    const named = features.filter(({ properties }) => properties?.is === sort);
    named.sort((one, other) => (other.properties?.devices ?? 0) - (one.properties?.devices ?? 0));
    for (const [rank, { properties }] of named.entries()) if (properties !== null) properties.rank = rank;
  }
  return features;
}

/** Where something stands, once for what stands close together. */
function obstacles(spots: readonly Spot[], plane: Plane): Feature[] {
  const cells = new Map<string, Spot>();
  for (const spot of spots) {
    const [east, north] = plane.flat([spot.lon, spot.lat]);
    cells.set(`${Math.round(east / CROWD)} ${Math.round(north / CROWD)}`, spot);
  }
  return [...cells.values()].map(({ lon, lat }) => ({
    type: "Feature",
    properties: { is: "obstacle" },
    geometry: { type: "Point", coordinates: [lon, lat] },
  }));
}

function least(values: readonly number[]): number {
  return values.reduce((one, other) => Math.min(one, other));
}

function most(values: readonly number[]): number {
  return values.reduce((one, other) => Math.max(one, other));
}

function bySite(spots: readonly Spot[]): Map<string, Spot[]> {
  const found = new Map<string, Spot[]>();
  for (const spot of spots) {
    if (spot.site === null) continue;
    const there = found.get(spot.site);
    if (there === undefined) found.set(spot.site, [spot]);
    else there.push(spot);
  }
  return found;
}

/** A line through points that lie along one, with a bend where they bend; null where they stand together. */
function streetAlong(points: readonly Metres[]): Street | null {
  const [x, y] = direction(points);
  const along = ([east, north]: Metres) => east * x + north * y;
  const sorted = [...points].sort((one, other) => along(one) - along(other));
  const [first, last] = [sorted[0] as Metres, sorted.at(-1) as Metres];
  const length = along(last) - along(first);
  if (length < SHORTEST_STREET) return null;
  const pieces = Math.max(1, Math.floor(length / BETWEEN_BENDS));
  const bends = Array.from({ length: pieces }, (_, piece) =>
    sorted.filter((point) => {
      const share = (along(point) - along(first)) / length;
      return Math.min(pieces - 1, Math.floor(share * pieces)) === piece;
    }),
  ).filter((group) => group.length > 0);
  const line = pieces === 1 ? [] : bends.map(middle);
  const ends = line.length > 1 ? line : [first, last].map((end) => onAxis(end, middle(sorted), [x, y]));
  return { along: prolonged(ends, first, last, along), axis: [x, y] };
}

function onAxis([east, north]: Metres, [ce, cn]: Metres, [x, y]: Metres): Metres {
  const along = (east - ce) * x + (north - cn) * y;
  return [ce + along * x, cn + along * y];
}

/** The same line until beyond its first and last devices, straight on. */
function prolonged(line: readonly Metres[], first: Metres, last: Metres, along: (point: Metres) => number): Metres[] {
  const on = (from: Metres, through: Metres, until: Metres): Metres => {
    const [dx, dy] = [through[0] - from[0], through[1] - from[1]];
    const size = Math.hypot(dx, dy) || 1;
    const more = Math.abs(along(until) - along(through)) + BEYOND_LAST_DEVICE;
    return [through[0] + (dx / size) * more, through[1] + (dy / size) * more];
  };
  const [start, second] = line as [Metres, Metres];
  const [end, before] = [line.at(-1) as Metres, line.at(-2) as Metres];
  return [on(second, start, first), ...line, on(before, end, last)];
}

function nearestAxis([east, north]: Metres, streets: readonly Street[]): Metres {
  const away = ({ along }: Street) => Math.min(...along.map(([x, y]) => Math.hypot(x - east, y - north)));
  const [nearest] = [...streets].sort((one, other) => away(one) - away(other));
  return nearest?.axis ?? [1, 0];
}

function block(at: Metres, [x, y]: Metres, plane: Plane): Feature[] {
  const ring = ([long, deep]: Metres) =>
    CORNERS.map(([u, v]): Metres => [at[0] + u * long * x - v * deep * y, at[1] + u * long * y + v * deep * x]);
  return [area("building", ring(BLOCK), plane), area("court", ring(COURTYARD), plane)];
}

function area(is: string, outline: readonly Metres[], plane: Plane): Feature {
  const coordinates = [outline.map((point) => plane.round(point))];
  return { type: "Feature", properties: { is }, geometry: { type: "Polygon", coordinates } };
}

/** A name beside so many spots, on a ground so many metres around; in pixels at zoom 16. */
function label(title: string, at: Metres, plane: Plane, devices: number, metres: number): Feature {
  const coordinates = plane.round(at);
  const ground = (metres * 512 * 2 ** 16) / (EARTH * Math.cos((coordinates[1] * Math.PI) / 180));
  const properties = { is: "place", title, devices, clump: Math.sqrt(devices), ground };
  return { type: "Feature", properties, geometry: { type: "Point", coordinates } };
}

/** What surrounds streets and spots. */
function landscape(spots: readonly Spot[], streets: readonly Street[], plane: Plane): Feature[] {
  const points = spots.map(({ lon, lat }) => plane.flat([lon, lat]));
  const along = streets.flatMap(({ along }) => along.slice(1).flatMap((to, n) => paced(along[n] as Metres, to)));
  const far = 40 * DEGREE;
  const edge = CORNERS.map(([u, v]): Metres => [u * far, v * far]);
  const { pieces, contours } = relief([...points, ...along], edge);
  const round = (ring: readonly Metres[]) => ring.map((point) => plane.round(point));
  return [
    ...pieces.map(({ band, rings }): Feature => {
      const geometry: Geometry = { type: "Polygon", coordinates: rings.map(round) };
      return { type: "Feature", properties: { is: "relief", band }, geometry };
    }),
    ...contours.map((ring) => line(round(ring))),
  ];
}

/** Of the grid or a contour. */
function line(coordinates: [number, number][]): Feature {
  return { type: "Feature", properties: { is: "line" }, geometry: { type: "LineString", coordinates } };
}

/** A point every few steps. */
function paced(from: Metres, to: Metres): Metres[] {
  const steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / PACE);
  return Array.from({ length: steps }, (_, n) => [
    from[0] + ((to[0] - from[0]) * n) / steps,
    from[1] + ((to[1] - from[1]) * n) / steps,
  ]);
}

/** Meridians and parallels at round degrees. */
function grid(west: number, south: number, east: number, north: number): Feature[] {
  const size = Math.max(east - west, north - south);
  const step = GRID.find((wide) => size / wide < MOST_LINES) ?? 10;
  const [left, right] = [Math.floor(west / step) - BEYOND, Math.ceil(east / step) + BEYOND];
  const [low, high] = [Math.floor(south / step) - BEYOND, Math.ceil(north / step) + BEYOND];
  const features: Feature[] = [];
  for (let n = left; n <= right; n += 1)
    features.push(
      line([
        [n * step, low * step],
        [n * step, high * step],
      ]),
    );
  for (let n = low; n <= high; n += 1)
    features.push(
      line([
        [left * step, n * step],
        [right * step, n * step],
      ]),
    );
  return features;
}
