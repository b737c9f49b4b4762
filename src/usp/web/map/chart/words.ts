/** A chart in words, and in the page's colours. */

import { duration, now, number, percent } from "../../common/format";
import { language, named, t } from "../../common/i18n";
import type { Span } from "../choice";
import { withUnit } from "../panel/words";
import type { Property } from "../store";
import type { Bucket, Plan } from "./plan";
import type { Axis, Colours } from "./plot";

const DAY_S = 86_400;
const WINDS = 45;
/** Less is told by the colours and the table. */
const LEAST_SHARE = 0.005;

/** A span of time in words. */
export function spanWord(span: Span): string {
  return t(({ "24h": "chart.span_24h", "7d": "chart.span_7d", "30d": "chart.span_30d" } as const)[span]);
}

/** The same as the time up to now. */
export function lastWord(span: Span): string {
  return t(({ "24h": "chart.last_24h", "7d": "chart.last_7d", "30d": "chart.last_30d" } as const)[span]);
}

/** With days before months and 24 hours, as in all of Europe. */
function dates(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(language.value === "en" ? "en-GB" : language.value, options);
}

function midnight(ms: number): boolean {
  const date = new Date(ms);
  return date.getHours() === 0 && date.getMinutes() === 0;
}

/** When a bucket was, in the reader's own time zone. */
export function bucketTime({ start, end }: Bucket): string {
  const days = midnight(start) && midnight(end);
  if (days) return dates({ weekday: "short", day: "numeric", month: "short" }).formatRange(start, end - 1);
  return dates({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).formatRange(start, end);
}

/** What the axes say, in the unit in which the greatest value is short. */
export function axisOf(property: Property, made: Plan, list: readonly Bucket[]): Axis {
  const most = Math.max(0, ...list.flatMap(({ values }) => values.map((value) => Math.abs(value ?? 0))));
  const { unit = "" } = property;
  const time = (ms: number, stepS: number) => {
    if (stepS < DAY_S && !midnight(ms)) return dates({ hour: "2-digit", minute: "2-digit" }).format(ms);
    return dates({ day: "numeric", month: "short" }).format(ms);
  };
  if (made.shape === "states") return { divisor: 1, unit: "", tick: (value) => percent(value), time };
  if (unit === "°") return { divisor: 1, unit: "", tick: wind, time };
  const [divisor, scaled] = scale(unit, most);
  return { divisor, unit: perBucket(made, scaled, list), tick: number, time };
}

function scale(unit: string, most: number): [number, string] {
  if (unit === "W" && most >= 1e6) return [1e6, "MW"];
  if (unit === "W" && most >= 1e3) return [1e3, "kW"];
  if (unit === "byte") {
    const step = Math.min(4, Math.max(0, Math.floor(Math.log10(most || 1) / 3)));
    return [1000 ** step, ["B", "kB", "MB", "GB", "TB"][step] ?? "B"];
  }
  return [1, unit === "1" || unit.startsWith("count") ? "" : unit];
}

/** Of what adds up it has to be said over which time. */
function perBucket(made: Plan, unit: string, list: readonly Bucket[]): string {
  const first = list[0];
  if (made.shape !== "bars" || first === undefined) return unit;
  return `${unit} ${t("chart.in", { duration: duration((first.end - first.start) / 1000) })}`.trim();
}

/** A value with its unit; what is counted per interval adds up to what is counted in the bucket. */
export function told(value: number, { unit }: Property, made: Plan): string {
  return withUnit(value, made.shape === "bars" && unit?.startsWith("count") ? "" : unit);
}

/** 90 as the east. */
function wind(degrees: number): string {
  const names = t("chart.winds").split(" ");
  return names[Math.round(degrees / WINDS) % names.length] ?? "";
}

/** What a column of states is called. */
export function stateWord(property: Property, state: string): string {
  if (property.name === "occupied") return named("state", "occupied");
  return property.type === "boolean" ? named("property", property.name) : named("state", state);
}

/** Shares of time of the states that occur at all, greatest first. */
export function shares(made: Plan, list: readonly Bucket[]): { at: number; share: number }[] {
  const known = list.filter(({ values }) => values.some((value) => value !== null));
  const length = (bucket: Bucket) => Math.min(bucket.end, now.peek()) - bucket.start;
  const whole = known.reduce((sum, bucket) => sum + length(bucket), 0);
  return made.columns
    .map((_, at) => ({
      at,
      share: known.reduce((sum, bucket) => sum + (bucket.values[at] ?? 0) * length(bucket), 0) / whole,
    }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share);
}

/** The chart in a sentence. */
export function summary(property: Property, made: Plan, list: readonly Bucket[]): string {
  const values = list.flatMap((bucket) => bucket.values).filter((value) => value !== null);
  if (values.length === 0) return t("chart.nothing");
  if (made.shape === "states") {
    const worthTelling = shares(made, list).filter(({ share }) => share >= LEAST_SHARE);
    const words = worthTelling.map(
      ({ at, share }) => `${stateWord(property, made.states[at] ?? "")} ${percent(share)}`,
    );
    if (made.states.length === 1 && words.length === 0) words.push(`${stateWord(property, "true")} ${percent(0)}`);
    const changes = list.reduce((sum, bucket) => sum + (bucket.changes ?? 0), 0);
    return t("chart.shares", { shares: words.join(", "), changes });
  }
  if (made.shape === "bars") {
    const sum = list.reduce((total, bucket) => total + (bucket.values[0] ?? 0), 0);
    return t("chart.sum", { sum: told(sum, property, made) });
  }
  if (property.unit === "°") return "";
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return t("chart.between", { least: told(least, property, made), most: told(most, property, made) });
}

/** A bucket in words: its value, and what there is to say about it. */
export function inWords(property: Property, made: Plan, bucket: Bucket): { value: string; more: string[] } {
  const [value = null, least = null, most = null] = bucket.values;
  const more: string[] = [];
  if (bucket.running) more.push(t("chart.running"));
  if (bucket.flagged > 0) more.push(t("chart.flagged", { flagged: bucket.flagged }));
  if (value === null) return { value: t("chart.unknown"), more };
  if (bucket.coverage < 0.95 && made.shape !== "states") {
    more.push(t("chart.coverage", { share: percent(Math.min(1, bucket.coverage)) }));
  }
  if (made.shape === "states") {
    const held = bucket.values
      .map((share, at) => ({ share: share ?? 0, word: stateWord(property, made.states[at] ?? "") }))
      .filter(({ share }) => share > 0 || made.states.length === 1);
    return { value: held.map(({ word, share }) => `${word} ${percent(share)}`).join(", "), more };
  }
  if (least !== null && most !== null && least !== most) {
    more.unshift(t("chart.between", { least: told(least, property, made), most: told(most, property, made) }));
  }
  return { value: told(value, property, made), more };
}

/** Of each state a colour of `theme.css`, and how much of it: what is alike is of one hue. */
const STATE_COLOURS: Record<string, [string, number]> = {
  available: ["--good", 100],
  charging: ["--busy", 100],
  preparing: ["--busy", 40],
  suspended: ["--wait", 100],
  finishing: ["--wait", 45],
  reserved: ["--accent", 60],
  unavailable: ["--quiet", 60],
  faulted: ["--bad", 100],
};

/** The colours of `theme.css` as they are now. */
export function coloursOf(property: Property, made: Plan): Colours {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const yes = property.name === "occupied" ? "--busy" : "--wait";
  return {
    line: colour("--accent"),
    band: `color-mix(in srgb, ${colour("--accent")} 20%, transparent)`,
    grid: colour("--line"),
    text: colour("--quiet"),
    surface: colour("--surface"),
    states: made.states.map((state) => {
      const [name, part] = STATE_COLOURS[state] ?? [yes, 100];
      return `color-mix(in srgb, ${colour(name)} ${part}%, ${colour("--surface")})`;
    }),
  };
}
