/** What the reader has chosen, kept in the page's address so that it can be shared and gone back to. */

import { batch, effect, signal } from "@preact/signals";
import { isAddressed, language } from "../common/i18n";

export type Selection = { device: string } | { site: string } | null;
export type Span = "24h" | "7d" | "30d";
export interface View {
  lon: number;
  lat: number;
  zoom: number;
}

const SPANS: readonly Span[] = ["24h", "7d", "30d"];
const COLOURED = "air_quality.pm2_5";

/** Kinds shown; none chosen means all. */
export const kinds = signal<ReadonlySet<string>>(new Set());
/** Categories shown; none chosen means all, and what has no category is then shown as well. */
export const categories = signal<ReadonlySet<string>>(new Set());
/** Only free bays and available charging points. */
export const onlyFree = signal(false);
/** The `dataset.property` by which lampposts are coloured. */
export const coloured = signal(COLOURED);
export const selection = signal<Selection>(null);
export const span = signal<Span>("24h");
/** The `dataset.property` in the chart; null lets the page choose. */
export const charted = signal<string | null>(null);
/** What part of the city is looked at; null until the map has been moved. */
export const view = signal<View | null>(null);

function read(): void {
  const query = new URLSearchParams(location.search);
  const listed = (name: string) => new Set((query.get(name) ?? "").split(",").filter((word) => /^[a-z_]+$/.test(word)));
  const word = (name: string, pattern: RegExp) => (pattern.test(query.get(name) ?? "") ? query.get(name) : null);
  const device = word("device", /^[a-z0-9][a-z0-9-]{1,62}$/);
  const site = word("site", /^[a-z0-9][a-z0-9-]{1,62}$/);
  const [lon, lat, zoom] = (query.get("at") ?? "").split(",").map(Number.parseFloat);
  batch(() => {
    kinds.value = listed("kind");
    categories.value = listed("category");
    onlyFree.value = query.get("free") === "1";
    coloured.value = word("property", /^[a-z0-9_]+\.[a-z0-9_]+$/) ?? COLOURED;
    charted.value = word("chart", /^[a-z0-9_]+\.[a-z0-9_]+$/);
    span.value = SPANS.find((known) => known === query.get("span")) ?? "24h";
    selection.value = device !== null ? { device } : site !== null ? { site } : null;
    view.value =
      lon !== undefined &&
      lat !== undefined &&
      zoom !== undefined &&
      Math.abs(lon) <= 180 &&
      Math.abs(lat) <= 85 &&
      zoom >= 0 &&
      zoom <= 22
        ? { lon, lat, zoom }
        : null;
  });
}

function written(): string {
  const chosen = selection.value;
  const at = view.value;
  const told: [string, string | null][] = [
    ["kind", [...kinds.value].sort().join(",")],
    ["category", [...categories.value].sort().join(",")],
    ["free", onlyFree.value ? "1" : null],
    ["property", coloured.value === COLOURED ? null : coloured.value],
    ["device", chosen !== null && "device" in chosen ? chosen.device : null],
    ["site", chosen !== null && "site" in chosen ? chosen.site : null],
    ["chart", chosen === null ? null : charted.value],
    ["span", span.value === "24h" ? null : span.value],
    ["at", at === null ? null : `${at.lon.toFixed(5)},${at.lat.toFixed(5)},${at.zoom.toFixed(2)}`],
    ["lang", isAddressed() ? language.value : null],
  ];
  const text = told.filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name}=${value}`);
  return text.length === 0 ? location.pathname : `?${text.join("&")}`;
}

/** Read the page's address now and at every step back, and keep it as what is chosen says. */
export function keepInAddress(): void {
  read();
  addEventListener("popstate", read);
  let before = selection.peek();
  effect(() => {
    const address = written();
    // A step back closes what was opened; how the map was moved is no step of its own.
    const step = selection.value === before ? "replaceState" : "pushState";
    before = selection.value;
    if (address !== (location.search || location.pathname)) history[step](null, "", address);
  });
}

/** Another set, with this word in it if it was not, without it if it was. */
export function toggled(set: ReadonlySet<string>, word: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(word)) next.add(word);
  return next;
}
