/** How the own background looks, from the city down to a bay. */

import type { ExpressionSpecification, FilterSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { Palette } from "./palette";

type Stop = [zoom: number, size: number];

const FONT = ["Inter Variable"];
/** The first name only says how heavy; the second is the font. */
const HEAVIER = ["Semibold", "Inter Variable"];
const STREET: Stop[] = [
  [11, 1.2],
  [13, 3],
  [14, 6],
  [15, 10],
  [16, 17],
  [17, 26],
  [19, 62],
];

/** A street fades out where the last of its devices is left behind; its edges first. */
const fading = (colour: string, [from, until]: [number, number]): ExpressionSpecification => [
  "interpolate",
  ["linear"],
  ["line-progress"],
  from,
  `${colour}00`,
  until,
  colour,
  1 - until,
  colour,
  1 - from,
  `${colour}00`,
];
const wider = ([zoom, px]: Stop): Stop => [zoom, px + 2];
const is = (...names: string[]): FilterSpecification => ["match", ["get", "is"], names, true, false];
/** From afar only the places where most is. */
const namedAt = (name: string): FilterSpecification => [
  "all",
  ["==", ["get", "is"], name],
  ["<", ["get", "rank"], ["step", ["zoom"], 40, 14, 120, 15, 100_000]],
];
const byName = (colours: Record<string, string>, other: string): ExpressionSpecification =>
  ["match", ["get", "is"], ...Object.entries(colours).flat(), other] as unknown as ExpressionSpecification;
const byZoom = (...stops: Stop[]): ExpressionSpecification =>
  ["interpolate", ["exponential", 1.5], ["zoom"], ...stops.flat()] as unknown as ExpressionSpecification;

/** So far above a line, in letters' heights. */
const above = (...stops: Stop[]): ExpressionSpecification =>
  [
    "interpolate",
    ["linear"],
    ["zoom"],
    ...stops.flatMap(([zoom, y]) => [zoom, ["literal", [0, y]]]),
  ] as unknown as ExpressionSpecification;

/** Below the spots. */
function drawn(colours: Palette): LayerSpecification[] {
  const source = "ground";
  const { relief } = colours;
  return [
    { id: "background", type: "background", paint: { "background-color": relief[3] } },
    {
      // The ground is that of most places, so that little has to be laid over it.
      id: "relief",
      type: "fill",
      source,
      filter: is("relief"),
      paint: {
        "fill-color": ["match", ["get", "band"], 0, relief[0], 1, relief[1], relief[2]],
        "fill-antialias": false,
      },
    },
    {
      id: "lines",
      type: "line",
      source,
      filter: is("line"),
      paint: { "line-color": colours.line, "line-width": 1 },
    },
    {
      id: "casing",
      type: "line",
      source,
      minzoom: 13.5,
      filter: is("street"),
      paint: { "line-gradient": fading(colours.casing, [0.1, 0.26]), "line-width": byZoom(...STREET.map(wider)) },
    },
    {
      id: "streets",
      type: "line",
      source,
      filter: is("street"),
      paint: { "line-gradient": fading(colours.street, [0, 0.14]), "line-width": byZoom(...STREET) },
    },
    {
      id: "places",
      type: "fill",
      source,
      minzoom: 13.5,
      filter: is("square", "pad", "building", "court"),
      paint: {
        "fill-color": byName({ pad: colours.pad, building: colours.building, court: relief[3] }, colours.street),
        "fill-outline-color": byName({ pad: colours.padEdge, square: colours.casing }, colours.buildingEdge),
      },
    },
  ];
}

/** How far off a name has to be, in letters' heights: clear of the spots, and of the ground they have. */
function clear(): ExpressionSpecification {
  const stop = (zoom: number, letter: number, spot: number) => [
    zoom,
    ["max", ["+", 0.6, ["*", spot, ["get", "clump"]]], ["/", ["*", 2 ** (zoom - 15.5), ["get", "ground"]], letter]],
  ];
  // It is worked out at whole zooms only, and holds until the next.
  const stops = [stop(12.5, 10, 0.3), stop(14.5, 11.3, 0.8), stop(15.5, 12, 0.9), stop(18.5, 15, 0.9)];
  return ["interpolate", ["exponential", 2], ["zoom"], ...stops.flat()] as unknown as ExpressionSpecification;
}

/** Above the spots. */
function names(colours: Palette): LayerSpecification[] {
  const paint = { "text-color": colours.text, "text-halo-color": colours.halo, "text-halo-width": 1.6 } as const;
  return [
    {
      id: "street-names",
      type: "symbol",
      source: "ground",
      minzoom: 12,
      filter: namedAt("street"),
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 240,
        "symbol-sort-key": ["get", "rank"],
        "text-field": ["get", "title"],
        "text-font": FONT,
        "text-size": byZoom([13, 10.5], [16, 13], [19, 16]),
        "text-letter-spacing": 0.02,
        "text-offset": above([12, -1.25], [15, -1.9], [19, -2.3]),
        "text-padding": 1,
      },
      paint: { ...paint, "text-color": colours.quiet },
    },
    {
      id: "place-names",
      type: "symbol",
      source: "ground",
      minzoom: 12.5,
      filter: namedAt("place"),
      layout: {
        "symbol-sort-key": ["get", "rank"],
        "text-field": ["get", "title"],
        "text-font": HEAVIER,
        "text-size": byZoom([13, 10], [16, 12], [19, 15]),
        "text-max-width": 9,
        "text-variable-anchor": ["top", "bottom", "left", "right"],
        "text-radial-offset": clear(),
        "text-padding": 9,
      },
      paint,
    },
  ];
}

/** What names keep off: a layer that is not seen, placed before them. */
function obstacles(): LayerSpecification {
  return {
    id: "obstacles",
    type: "symbol",
    source: "ground",
    filter: is("obstacle"),
    layout: {
      "icon-image": OBSTACLE,
      "icon-size": byZoom([12, 1.3], [14, 2.2], [15, 3], [17, 4.6]),
      "icon-allow-overlap": true,
      "icon-padding": 0,
    },
    paint: { "icon-opacity": 0 },
  };
}

/** The picture of an obstacle: this many pixels of nothing, wide and high. */
export const OBSTACLE = "obstacle";
export const OBSTACLE_SIZE = 5;
export const BELOW_NAMES = "street-names";

/** The whole style; over tiles of somebody else's only the names of our places remain. */
export function style(colours: Palette): StyleSpecification & { layers: LayerSpecification[] } {
  return {
    version: 8,
    sources: {
      ground: { type: "geojson", data: { type: "FeatureCollection", features: [] }, tolerance: 0.3, lineMetrics: true },
    },
    layers: [...drawn(colours), ...names(colours), obstacles()],
  };
}
