/** How buckets are drawn by uPlot. */

import type uPlot from "uplot";
import type { Bucket, Plan } from "./plan";

export interface Colours {
  line: string;
  band: string;
  grid: string;
  text: string;
  surface: string;
  /** One for each column of a plan of states. */
  states: string[];
}

export interface Axis {
  /** What values are divided by, and the unit they then have. */
  divisor: number;
  unit: string;
  /** A tick in words. */
  tick: (value: number) => string;
  time: (ms: number, stepS: number) => string;
}

/** uPlot scales whole pixels alone to the screen. */
const FONT = '12px "Inter Variable", system-ui, sans-serif';
const BAR = 0.82;
const WIDEST_BAR = 60;
const TURN = 360;
const QUARTER = 90;
const DAY_S = 86_400;

type Column = (number | null)[];

/** Times in s, at the middle of each bucket, then the columns as they are drawn. */
export function columns(made: Plan, list: readonly Bucket[]): uPlot.AlignedData {
  const times = list.map(({ start, end }) => (start + end) / 2000);
  const drawn: Column[] = made.columns.map((_, at) => list.map(({ values }) => values[at] ?? null));
  if (made.shape !== "states") return [times, ...drawn];
  // The tallest first, so that each hides the foot of the one behind it.
  const stacked = drawn.map((_, at) =>
    list.map(({ values }) =>
      values[at] === null ? null : values.slice(0, at + 1).reduce<number>((sum, value) => sum + (value ?? 0), 0),
    ),
  );
  return [times, ...stacked.reverse()];
}

/** Points that no line reaches, because nothing is known before and after. */
function lonely(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  return [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
}

function series(made: Plan, colours: Colours, uplot: typeof uPlot): uPlot.Series[] {
  const { shape } = made;
  if (shape === "states" || shape === "bars") {
    const paths = uplot.paths.bars?.({ size: [BAR, WIDEST_BAR], align: 0, radius: shape === "bars" ? 0.12 : 0 });
    const fills = shape === "bars" ? [colours.line] : [...colours.states].reverse();
    return fills.map((fill) => ({ fill, stroke: fill, width: 0, points: { show: false }, ...(paths && { paths }) }));
  }
  const dot = { size: 5, width: 0, fill: colours.line, stroke: colours.line };
  if (shape === "dots") return [{ stroke: colours.line, paths: () => null, points: { ...dot, show: true } }];
  const line: uPlot.Series = {
    stroke: colours.line,
    width: 2,
    spanGaps: false,
    points: { ...dot, show: false, filter: lonely },
  };
  const edge: uPlot.Series = { stroke: "transparent", width: 0, spanGaps: false, points: { show: false } };
  return [line, ...made.columns.slice(1).map(() => edge)];
}

/** From nought where that is near, else with some air above and below. */
function room(made: Plan, unit: string) {
  return (_: uPlot, least: number | null, most: number | null): [number, number] => {
    if (made.shape === "states") return [0, 1];
    if (unit === "°") return [0, TURN];
    if (least === null || most === null) return [0, 1];
    const spread = most - least || Math.abs(most) || 1;
    const fromNought = made.shape === "bars" || (least >= 0 && least < 0.65 * most);
    if (least >= 0 && (fromNought || most === 0)) return [0, most * 1.08 || 1];
    return [least - spread * 0.12, most + spread * 0.12];
  };
}

export interface Drawing {
  made: Plan;
  colours: Colours;
  axis: Axis;
  /** Of the property, before any scaling. */
  unit: string;
  /** Window in ms since 1970. */
  from: number;
  to: number;
  width: number;
  height: number;
  /** Over which bucket the pointer is, and where its middle lies from the left. */
  point: (at: number | null, left: number) => void;
}

export function options(drawing: Drawing, uplot: typeof uPlot): uPlot.Options {
  const { made, colours, axis, unit, from, to, width, height, point } = drawing;
  const ticks = { stroke: colours.grid, width: 1, size: 5 };
  const common = { stroke: colours.text, font: FONT, ticks, gap: 5 };
  return {
    width,
    height,
    padding: [10, 16, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { show: made.shape === "line" || made.shape === "dots", size: 9 },
    },
    scales: {
      x: { time: true, range: [from / 1000, to / 1000] },
      y: { range: room(made, unit) },
    },
    axes: [
      {
        ...common,
        grid: { show: false },
        size: 32,
        space: 58,
        values: (_, splits, __, ___, step) => splits.map((at) => axis.time(at * 1000, Math.min(step, DAY_S))),
      },
      {
        ...common,
        ticks: { show: false },
        grid: { stroke: colours.grid, width: 1 },
        space: 34,
        ...(unit === "°" && {
          splits: [0, 1, 2, 3, 4].map((quarter) => quarter * QUARTER) as unknown as () => number[],
        }),
        values: (_, splits) => splits.map((value) => axis.tick(value / axis.divisor)),
        size: (_, values) => 14 + Math.max(...(values ?? [""]).map((text) => text.length)) * 6.7,
      },
    ],
    series: [{}, ...series(made, colours, uplot)],
    bands: made.shape === "line" && made.columns.length === 3 ? [{ series: [3, 2], fill: colours.band }] : [],
    hooks: {
      setCursor: [
        (plot) => {
          const at = plot.cursor.idx ?? null;
          const time = at === null ? undefined : plot.data[0][at];
          const away = plot.cursor.left === undefined || plot.cursor.left < 0;
          if (away || time === undefined) point(null, 0);
          else point(at, plot.valToPos(time, "x") + plot.bbox.left / devicePixelRatio);
        },
      ],
    },
  };
}
