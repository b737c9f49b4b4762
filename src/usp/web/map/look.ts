/** How a spot looks now, and whether it is shown: what the map and the panel have in common. */

import { named, t } from "../common/i18n";
import { GLYPHS } from "./canvas/glyphs";
import { inkOn, palette, type Tone } from "./canvas/palette";
import { type Band, colour, lampScale, powerScale, property, quantity, type Scale } from "./canvas/scale";
import { categories, coloured, kinds, onlyFree } from "./choice";
import { type Device, datasets, newest, type Spot, silent, told } from "./store";

export { type Band, GLYPHS, property, quantity, type Scale, type Tone };

export interface Paint {
  fill: string;
  ring: string;
  /** Of what is drawn on it. */
  ink: string;
  tone: Tone;
  silent: boolean;
}

export interface Look extends Paint {
  /** Path data (see `GLYPHS`). */
  glyph: string;
  /** Its state in the reader's language. */
  word: string;
}

export interface LegendEntry {
  fill: string;
  ring: string;
  word: string;
}

/** Path data of the picture of a spot's category, or of its kind. */
export function glyph(spot: Pick<Spot, "kind" | "category">): string {
  return GLYPHS[glyphName(spot)] as string;
}

export function glyphName(spot: Pick<Spot, "kind" | "category">): string {
  return [spot.category ?? "", spot.kind].find((name) => name in GLYPHS) ?? "indoor_sensor";
}

interface State {
  tone: Tone;
  /** Filled, or only a ring: so that it can be told without colours. */
  filled: boolean;
  word: () => string;
}

const UNKNOWN: State = { tone: "none", filled: false, word: () => t("look.unknown") };

const CHARGING: Record<string, Tone> = {
  available: "good",
  preparing: "wait",
  charging: "busy",
  suspended: "wait",
  finishing: "wait",
  reserved: "wait",
  unavailable: "none",
  faulted: "bad",
};

const BAY = {
  free: { tone: "good", filled: true, word: () => named("state", "free") },
  occupied: { tone: "busy", filled: false, word: () => named("state", "occupied") },
  // Where nobody may park, nothing is free, and whoever stands there stands in somebody's way.
  clear: { tone: "none", filled: false, word: () => t("look.clear") },
  obstructed: { tone: "bad", filled: true, word: () => t("look.obstructed") },
} satisfies Record<string, State>;

function bay(category: string | null, occupied: unknown): State {
  if (typeof occupied !== "boolean") return UNKNOWN;
  if (category === "no_parking") return occupied ? BAY.obstructed : BAY.clear;
  return occupied ? BAY.occupied : BAY.free;
}

function point(status: unknown): State {
  if (typeof status !== "string") return UNKNOWN;
  const tone = CHARGING[status] ?? "none";
  return { tone, filled: tone === "good" || tone === "bad", word: () => named("state", status) };
}

/** The state of what has one: bays and charging points. */
function stateOf(spot: Spot): State | null {
  const name = spot.devices[0]?.device ?? "";
  if (spot.kind === "parking_sensor") return bay(spot.category, newest(name, "parking")?.occupied);
  if (spot.kind === "charging_point") return point(newest(name, "charging")?.status);
  return null;
}

interface Measured {
  value: number | boolean | null;
  /** Out of what is plausible: told, but not coloured. */
  flagged: boolean;
}

function measured(device: string, name: string): Measured {
  const [dataset = "", wanted = ""] = name.split(".", 2);
  const state = newest(device, dataset);
  const value = state?.[wanted];
  const flagged = state?.flags.includes(`${wanted}:out_of_range`) ?? false;
  return { value: typeof value === "number" || typeof value === "boolean" ? value : null, flagged };
}

function meter(spot: Spot, category: string): Device | undefined {
  return spot.devices.find((device) => device.category === category);
}

/** The device by which a spot is judged: of a building its main meter. */
function principal(spot: Spot): Device {
  return (meter(spot, "main") ?? spot.devices[0]) as Device;
}

/** Its colours; cheaper than its whole look. */
export function paint(spot: Spot): Paint {
  told.value;
  const colours = palette();
  const device = principal(spot);
  if (silent(device)) return { ...colours.silent, tone: "none", silent: true };
  const state = stateOf(spot);
  if (state !== null) {
    const { tone, filled } = state;
    const ring = colours.tones[tone];
    return { fill: filled ? ring : colours.surface, ring, ink: filled ? colours.on : ring, tone, silent: false };
  }
  const scale = spot.building ? powerScale.value : lampScale.value;
  const { value, flagged } = measured(device.device, spot.building ? "energy.active_power" : coloured.value);
  if (value === null || flagged) {
    return { fill: colours.surface, ring: colours.tones.none, ink: colours.tones.none, tone: "none", silent: false };
  }
  const fill = typeof value === "boolean" ? lamp(value) : colour(scale, value);
  return { fill, ring: colours.surface, ink: inkOn(fill), tone: "none", silent: false };
}

/** Of a property that is true or false. */
function lamp(value: boolean): string {
  return value ? palette().tones.wait : palette().silent.fill;
}

function word(spot: Spot): string {
  const device = principal(spot);
  if (silent(device)) return t("look.silent");
  const state = stateOf(spot);
  if (state !== null) return state.word();
  const name = spot.building ? "energy.active_power" : coloured.value;
  const { value, flagged } = measured(device.device, name);
  if (value === null) return t(measures(device, name) ? "look.unknown" : "look.not_measured");
  if (typeof value === "boolean") return yesOrNo(name, value);
  const told = quantity(value, property(name)?.unit);
  if (flagged) return t("look.flagged", { value: told });
  return spot.building ? withSun(spot, told) : told;
}

function yesOrNo(name: string, value: boolean): string {
  if (name === "lighting.lit") return named("state", value ? "lit" : "unlit");
  return named("state", String(value));
}

/** What a building takes, and what its roof gives. */
function withSun(spot: Spot, taken: string): string {
  const roof = meter(spot, "photovoltaic");
  const { value } = roof === undefined ? { value: null } : measured(roof.device, "energy.active_power");
  // The meter of the roof counts what flows out of the grid as positive.
  if (typeof value !== "number" || value > -1) return taken;
  return t("look.with_sun", { value: taken, sun: quantity(-value, "W") });
}

function measures(device: Device, name: string): boolean {
  return device.datasets.includes(name.split(".", 1)[0] ?? "");
}

/** How a spot looks now. */
export function look(spot: Spot): Look {
  return { ...paint(spot), glyph: glyph(spot), word: word(spot) };
}

/** Whether a bay can be parked in, or a charging point used. */
export function free(spot: Spot): boolean {
  return stateOf(spot)?.tone === "good" && !silent(principal(spot));
}

/** Whether the filters let a spot be seen. */
export function shown(spot: Spot): boolean {
  if (kinds.value.size > 0 && !kinds.value.has(spot.kind)) return false;
  if (categories.value.size > 0 && !categories.value.has(spot.category ?? "")) return false;
  if (!onlyFree.value) return true;
  told.value;
  return free(spot);
}

/** Whether lampposts can be coloured by a property: a number that says something by itself, or yes and no. */
function tellsByColour({ type, aggregation }: { type: string; aggregation: string }): boolean {
  return type !== "text" && type !== "enum" && aggregation !== "counter" && aggregation !== "vector_mean";
}

/** The `dataset.property` names by which lampposts can be coloured. */
export function colourings(): string[] {
  return [...datasets.value.values()]
    .filter((dataset) => dataset.kinds.includes("lamppost") && dataset.name !== "device_health")
    .flatMap(({ name, properties }) => properties.filter(tellsByColour).map((known) => `${name}.${known.name}`));
}

/** What the colours of a kind mean: a list of states, or a scale. */
export function legend(kind: string): LegendEntry[] | Scale {
  if (kind === "energy_meter") return powerScale.value;
  if (kind === "lamppost" && property(coloured.value)?.type === "boolean") {
    return [true, false].map((on) => ({
      fill: lamp(on),
      ring: palette().surface,
      word: yesOrNo(coloured.value, on),
    }));
  }
  if (kind === "lamppost") return lampScale.value;
  // Apart from its bay, what is clear has to say of what.
  const signs: Record<string, State> = {
    ...BAY,
    clear: { ...BAY.clear, word: () => t("legend.clear") },
    obstructed: { ...BAY.obstructed, word: () => t("legend.obstructed") },
  };
  const states = kind === "parking_sensor" ? Object.values(signs) : Object.keys(CHARGING).map(point);
  const silence = { fill: palette().silent.fill, ring: palette().silent.ring, word: t("look.silent") };
  return [...states.map(entry), silence];
}

function entry({ tone, filled, word }: State): LegendEntry {
  const ring = palette().tones[tone];
  return { fill: filled ? ring : palette().surface, ring, word: word() };
}
