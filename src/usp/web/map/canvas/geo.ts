/** Plane geometry of a district, in metres around a point; a town is small enough for it. */

export type Place = readonly [lon: number, lat: number];
export type Metres = readonly [east: number, north: number];

const METRES_PER_DEGREE = 111_320;

/** There and back again: metres east and north of a place. */
export interface Plane {
  flat(place: Place): Metres;
  round(point: Metres): [number, number];
}

export function planeAt([lon, lat]: Place): Plane {
  const east = METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
  return {
    flat: (place) => [(place[0] - lon) * east, (place[1] - lat) * METRES_PER_DEGREE],
    round: (point) => [lon + point[0] / east, lat + point[1] / METRES_PER_DEGREE],
  };
}

export function middle(points: readonly Metres[]): Metres {
  const sum = points.reduce<[number, number]>((all, point) => [all[0] + point[0], all[1] + point[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** In which direction points lie, as a unit vector (the first principal component). */
export function direction(points: readonly Metres[]): Metres {
  const [east, north] = middle(points);
  let [xx, xy, yy] = [0, 0, 0];
  for (const [x, y] of points) {
    xx += (x - east) ** 2;
    xy += (x - east) * (y - north);
    yy += (y - north) ** 2;
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  return [Math.cos(angle), Math.sin(angle)];
}

/** An outline so many metres around a point. */
export function circle([east, north]: Metres, metres: number): Metres[] {
  const corners = 48;
  return Array.from({ length: corners + 1 }, (_, n) => {
    const angle = (2 * Math.PI * (n % corners)) / corners;
    return [east + metres * Math.cos(angle), north + metres * Math.sin(angle)];
  });
}
