/** What a chart asks for a property, and what it makes of the answer: each aggregation has its own statistic. */

import { address } from "../../common/api";
import type { Span } from "../choice";
import type { Property } from "../store";

/** A line with the band from least to most, dots, bars, or the share of time of each state. */
type Shape = "line" | "dots" | "bars" | "states";

export interface Plan {
  shape: Shape;
  /** What `properties=` asks for. */
  asked: string;
  /** Columns of the answer: the value, then least and most where there are any; of a state one for each state. */
  columns: string[];
  /** The states, in the order of the columns. */
  states: string[];
}

export interface Row {
  start: string;
  device: string;
  count?: number;
  expected?: number;
  coverage?: number;
  flagged?: number;
  [column: string]: unknown;
}

export interface Buckets {
  data: Row[];
  /** Of the whole answer, at edges of buckets. */
  from: string;
  to: string;
}

export interface Bucket {
  /** Ms since 1970. */
  start: number;
  end: number;
  /** Not over yet. */
  running: boolean;
  /** One for each column of the plan; null where nothing is known. */
  values: (number | null)[];
  coverage: number;
  flagged: number;
  changes: number | null;
}

interface Window {
  bucket: string;
  /** Where what is drawn are bars: days are those of a city's clock. */
  bars: string;
  /** Length of the window and step of its beginning, in hours. */
  hours: number;
  step: number;
  /** How often it is asked anew, in seconds. */
  every: number;
}

export const WINDOWS: Record<Span, Window> = {
  "24h": { bucket: "30m", bars: "30m", hours: 24, step: 0.5, every: 60 },
  "7d": { bucket: "3h", bars: "3h", hours: 7 * 24, step: 3, every: 600 },
  "30d": { bucket: "12h", bars: "1d", hours: 30 * 24, step: 12, every: 600 },
};

const STATISTICS: Record<string, [Shape, ...string[]]> = {
  mean: ["line", "mean", "min", "max"],
  energetic_mean: ["line", "mean", "min", "max"],
  weighted_mean: ["line", "mean", "min", "max"],
  // A line from 350° to 10° would go all the way round.
  vector_mean: ["dots", "mean"],
  max: ["line", "max"],
  min: ["line", "min"],
  sum: ["bars", "sum"],
  counter: ["bars", "increase"],
  state: ["states", "seconds"],
  last: ["dots", "last"],
};

/** How a property is drawn; null where buckets tell nothing that can be. */
export function plan(property: Property): Plan | null {
  const [shape, ...statistics] = STATISTICS[property.aggregation] ?? [];
  if (shape === undefined) return null;
  const { name } = property;
  if (shape === "states") {
    const states = property.type === "boolean" ? ["true"] : (property.states ?? []);
    const columns =
      property.type === "boolean" ? [`${name}_seconds`] : states.map((state) => `${name}_${state}_seconds`);
    return { shape, asked: name, columns, states };
  }
  const asked = statistics.length === 1 ? name : statistics.map((statistic) => `${name}:${statistic}`).join(",");
  return { shape, asked, columns: statistics.map((statistic) => `${name}_${statistic}`), states: [] };
}

/** Where the window begins: a step of the clock, so that the same question is asked for a while. RFC 3339. */
export function beginning(span: Span, now: number): string {
  const { hours, step } = WINDOWS[span];
  const stepMs = step * 3_600_000;
  const start = Math.ceil(now / stepMs) * stepMs - hours * 3_600_000;
  return new Date(start).toISOString().replace(".000Z", "Z");
}

/** The question whose answer is drawn. */
export function question(
  dataset: string,
  one: { device: string; category?: string | undefined },
  made: Plan,
  span: Span,
  now: number,
): string {
  const { bucket, bars } = WINDOWS[span];
  return address(`/v1/datasets/${dataset}/readings`, {
    ...one,
    properties: made.asked,
    bucket: made.shape === "line" || made.shape === "dots" ? bucket : bars,
    from: beginning(span, now),
  });
}

/** The buckets of one device, in order; of a state, the shares of the time that has gone by. */
export function buckets(answer: Buckets, device: string, made: Plan, now: number): Bucket[] {
  const rows = answer.data.filter((row) => row.device === device);
  return rows.map((row, at) => {
    const start = new Date(row.start).getTime();
    const end = new Date(rows[at + 1]?.start ?? answer.to).getTime();
    const coverage = row.coverage ?? 0;
    const gone = Math.max(1, (Math.min(end, now) - start) / 1000);
    const values = made.columns.map((column) => {
      const value = row[column];
      // Where nothing was heard there is nothing to draw, also where a register adds up across it.
      if (typeof value !== "number" || coverage === 0) return null;
      return made.shape === "states" ? Math.min(1, value / gone) : value;
    });
    const changes = row[`${made.asked}_changes`];
    const told = { coverage, flagged: row.flagged ?? 0, changes: typeof changes === "number" ? changes : null };
    return { start, end, running: end > now, values, ...told };
  });
}
