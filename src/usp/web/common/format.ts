/** Numbers, moments and ages, as the reader's language writes them. */

import { computed, effect, signal } from "@preact/signals";
import { ahead } from "./api";
import { language, t } from "./i18n";
import { cutAt } from "./stream";

/** English as it is written in Europe: the day before the month, and 24 hours. */
const locale = computed(() => (language.value === "en" ? "en-GB" : language.value));

const made = new Map<string, Intl.NumberFormat>();
/** Formats are kept: to make one costs more than to use it a hundred times. */
function numbers(options: Intl.NumberFormatOptions, tongue = locale.value): Intl.NumberFormat {
  const key = tongue + JSON.stringify(options);
  let format = made.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat(tongue, options);
    made.set(key, format);
  }
  return format;
}

/** This moment by the platform's clock, since a visitor's may be minutes off; told anew every second. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now() + ahead.peek();
}, 1000);
document.addEventListener("visibilitychange", () => {
  now.value = Date.now() + ahead.peek();
});
effect(() => {
  now.value = Date.now() + ahead.value;
});

/** The moment of what is shown: now, or when the platform was last heard; what judges an age reads it. */
export const asOf = computed(() => cutAt.value ?? now.value);

/** A number with at most three significant digits after the first comma-free 1,000, as 12.1, 0.044, 5,210. */
export function number(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  const options = size > 0 && size < 0.1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: digits };
  return numbers(options).format(value);
}

/** 0.98 as 98 %. */
export function percent(share: number): string {
  return numbers({
    style: "percent",
    maximumFractionDigits: share < 0.995 && share > 0.9 ? 1 : 0,
  }).format(share);
}

/** 1536000 as 1.5 MB. */
export function bytes(count: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  const unitDisplay = step === 0 ? "long" : "short";
  return numbers({ style: "unit", unit: units[step] ?? "byte", unitDisplay, maximumFractionDigits: 1 }).format(
    count / 1000 ** step,
  );
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** A length of time in whole units, as `42 sec`, `5 min`, `3 hr`, `12 days`; below ten seconds also `4.2 sec`. */
export function duration(seconds: number): string {
  const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const options: Intl.NumberFormatOptions = {
    style: "unit",
    unit,
    unitDisplay: unit === "day" ? "long" : "short",
    maximumFractionDigits: 1,
  };
  const brief = unit === "second" && Math.abs(seconds) < 10;
  // "sec" and "min" where the British would have "secs" and "mins".
  return numbers(options, language.value).format(brief ? seconds : Math.trunc(seconds / size));
}

/** How long ago a moment was, as `42 s ago`; below five seconds `just now`. */
export function ago(time: string | number): string {
  const seconds = Math.max(0, (asOf.value - new Date(time).getTime()) / 1000);
  return seconds < 5 ? t("age.now") : t("age.ago", { duration: duration(Math.floor(seconds)) });
}

/** A moment in the reader's own time zone, to the minute or to the second. */
export function moment(time: string | number, style: "short" | "medium" = "short"): string {
  return new Intl.DateTimeFormat(locale.value, { dateStyle: "medium", timeStyle: style }).format(new Date(time));
}

/** Letters without accents and case, to search in. */
export function plain(text: string): string {
  return text
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .replaceAll("’", "'")
    .toLowerCase();
}
