/** How numbers become colours: bands that are fixed where people know them, else taken from the values of now. */

import { computed } from "@preact/signals";
import { bytes, number } from "../../common/format";
import { named, t } from "../../common/i18n";
import { coloured } from "../choice";
import { datasets, devices, newest, type Property, told } from "../store";
import { palette } from "./palette";

export interface Band {
  /** From here on; null where it begins with anything. */
  from: number | null;
  /** Up to below here; null where it ends with anything. */
  to: number | null;
  fill: string;
  ring: string;
  /** The band in words, as "Moderate" or "15–50". */
  word: string;
}

export interface Scale {
  /** `dataset.property`. */
  property: string;
  title: string;
  unit: string;
  bands: Band[];
  /** Whose bands these are, if anybody's. */
  note: string | null;
}

/** The European Air Quality Index as of 2025 (EEA): where fair, moderate, poor, very poor and extremely poor begin. */
const AIR: Record<string, readonly number[]> = {
  "air_quality.pm2_5": [5, 15, 50, 90, 140],
  "air_quality.pm10": [15, 45, 120, 195, 270],
  "air_quality.no2": [10, 25, 60, 100, 150],
  "air_quality.o3": [60, 100, 120, 160, 180],
  "air_quality.so2": [20, 40, 125, 190, 275],
};
const QUALITIES = ["good", "fair", "moderate", "poor", "very_poor", "extremely_poor"] as const;

const FIXED: Record<string, readonly number[]> = {
  "weather.temperature": [0, 10, 20, 30, 35],
  "weather.humidity": [20, 40, 60, 80],
  "traffic.occupancy": [10, 20, 40, 60],
  "lighting.dimming": [20, 40, 60, 80],
  "energy.active_power": [0, 5_000, 20_000, 50_000, 100_000],
};
/** Noise in steps of 5 dB, as noise maps have it (Directive 2002/49/EC, annex VI). */
const NOISE = [55, 60, 65, 70, 75];

const POWER = "energy.active_power";
const STEPS = 5;

/** The property of a `dataset.property`, where its dataset is known. */
export function property(name: string): Property | undefined {
  const [dataset = "", wanted = ""] = name.split(".", 2);
  return datasets.value.get(dataset)?.properties.find((known) => known.name === wanted);
}

/** A value with its unit, as `12.1 µg/m³` or `8.4 kW`. */
export function quantity(value: number, unit = ""): string {
  if (unit === "W" && Math.abs(value) >= 1_000_000) return `${number(value / 1_000_000)} MW`;
  if (unit === "W" && Math.abs(value) >= 1_000) return `${number(value / 1_000)} kW`;
  if (unit === "byte") return bytes(value);
  // Of a plain count its name says what is counted.
  return unit === "" || unit === "count" ? number(value) : `${number(value)} ${named("unit", unit)}`;
}

/** Round edges that divide what lies between two values, at most `STEPS` bands. */
function between(least: number, most: number): number[] {
  if (!(most > least)) return [];
  const rough = (most - least) / STEPS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((nice) => nice * power >= rough) ?? 10);
  const edges: number[] = [];
  for (let n = Math.floor(least / step) + 1; n * step < most; n += 1) edges.push(Number((n * step).toPrecision(12)));
  return edges;
}

function edgesNow(name: string): readonly number[] {
  told.value;
  const [dataset = "", wanted = ""] = name.split(".", 2);
  const values = [...devices.value.keys()]
    .map((device) => newest(device, dataset))
    .filter((state) => !state?.flags.includes(`${wanted}:out_of_range`))
    .map((state) => state?.[wanted])
    .filter((value) => typeof value === "number");
  return values.length === 0 ? [] : between(Math.min(...values), Math.max(...values));
}

function edges(name: string): readonly number[] {
  return AIR[name] ?? FIXED[name] ?? (name.startsWith("noise.") ? NOISE : edgesNow(name));
}

/** Colours spread over as many bands as there are. */
function shade(band: number, bands: number): string {
  const ramp = palette().ramp;
  const at = bands === 1 ? 2 : Math.round((band * (ramp.length - 1)) / (bands - 1));
  return ramp[at] as string;
}

function build(name: string): Scale {
  const limits = edges(name);
  const known = property(name);
  const inKilo = name === POWER;
  const tell = (value: number) => number(inKilo ? value / 1000 : value);
  const range = (from: number | null, to: number | null) =>
    from === null
      ? to === null
        ? ""
        : `< ${tell(to)}`
      : to === null
        ? `≥ ${tell(from)}`
        : `${tell(from)}–${tell(to)}`;
  const bands = [null, ...limits].map((from, index): Band => {
    const to = limits[index] ?? null;
    const feedsIn = name === POWER && to === 0;
    const inUse = name === POWER ? shade(Math.max(0, index - 1), limits.length) : shade(index, limits.length + 1);
    const quality = name in AIR ? QUALITIES[index] : undefined;
    const fill = feedsIn ? palette().below : inUse;
    const word = feedsIn ? t("legend.feeds_in") : range(from, to);
    return { from, to, fill, ring: palette().surface, word: quality ? `${t(`legend.${quality}`)} ${word}` : word };
  });
  const unit = inKilo ? "kW" : (known?.unit ?? "");
  const note = name in AIR ? t("legend.air") : name.startsWith("noise.") ? t("legend.noise") : null;
  return { property: name, title: named("property", name.split(".")[1] ?? name), unit, bands, note };
}

/** By which lampposts are coloured now. */
export const lampScale = computed(() => build(coloured.value));
/** By which buildings are. */
export const powerScale = computed(() => build(POWER));

/** The colour of a value. */
export function colour(scale: Scale, value: number): string {
  const band = scale.bands.find(({ to }) => to === null || value < to);
  return band?.fill ?? palette().silent.fill;
}
