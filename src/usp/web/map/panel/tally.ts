/** What is free, what reports and how much power is drawn: of all, and of each place; counted once a second at most. */

import { effect, signal, untracked } from "@preact/signals";
import { connection } from "../../common/stream";
import { categories, coloured, kinds } from "../choice";
import { type Device, devices, INDOORS, newest, silent, sites, told } from "../store";

export interface Tally {
  devices: number;
  bays: number;
  free: number;
  /** Where nobody may park, and how many of these are obstructed. */
  noParking: number;
  obstructed: number;
  points: number;
  available: number;
  lamps: number;
  reporting: number;
  meters: number;
  /** What the main meters of buildings draw, in W; null where none tells. */
  watts: number | null;
  /** What photovoltaic plants yield, in W. */
  sun: number | null;
}

export interface Counts {
  all: Tally;
  /** The median of the property by which lampposts are coloured; null where none tells it. */
  median: number | null;
  /** How many sites have anything. */
  sites: number;
  /** What the chosen kinds and categories leave, by the name of the site; "" where there is none. */
  places: ReadonlyMap<string, Tally>;
}

const PACE_MS = 1_000;
/** What falls silent says nothing, so somebody has to look. */
const LOOK_AGAIN_MS = 10_000;

/** Null until the registry has been read. */
export const counts = signal<Counts | null>(null);

function nothing(): Tally {
  return {
    devices: 0,
    bays: 0,
    free: 0,
    noParking: 0,
    obstructed: 0,
    points: 0,
    available: 0,
    lamps: 0,
    reporting: 0,
    meters: 0,
    watts: null,
    sun: null,
  };
}

const FIELDS = Object.keys(nothing()) as (keyof Tally)[];

/** What can be counted of a device, as one of its kind. */
function one(device: Device): Partial<Tally> {
  const mute = silent(device);
  if (device.kind === "parking_sensor") {
    const occupied = mute ? undefined : newest(device.device, "parking")?.occupied;
    if (device.category === "no_parking") return { noParking: 1, obstructed: Number(occupied === true) };
    return { bays: 1, free: Number(occupied === false) };
  }
  if (device.kind === "charging_point") {
    return { points: 1, available: Number(!mute && newest(device.device, "charging")?.status === "available") };
  }
  if (device.kind === "lamppost") return { lamps: 1, reporting: Number(!mute) };
  if (device.kind !== "energy_meter") return {};
  const power = mute ? undefined : newest(device.device, "energy")?.active_power;
  if (typeof power !== "number") return { meters: 1 };
  if (device.category === "main") return { meters: 1, watts: power };
  // The meter of a roof counts what flows out of the grid as positive.
  return device.category === "photovoltaic" ? { meters: 1, sun: Math.max(0, -power) } : { meters: 1 };
}

function add(sum: Tally, more: Partial<Tally>): void {
  sum.devices += 1;
  for (const [name, value] of Object.entries(more) as [keyof Tally, number][]) sum[name] = (sum[name] ?? 0) + value;
}

/** Whether the chosen kinds and categories let a device be counted. */
function chosen(device: Device): boolean {
  const indoors = INDOORS.has(device.kind);
  const kind = indoors ? "energy_meter" : device.kind;
  const category = indoors ? "" : (device.category ?? "");
  return (
    (kinds.value.size === 0 || kinds.value.has(kind)) && (categories.value.size === 0 || categories.value.has(category))
  );
}

/** The value of a lamppost that counts: heard of, and plausible. */
function value(device: Device): number | null {
  const [dataset = "", wanted = ""] = coloured.value.split(".", 2);
  const state = newest(device.device, dataset);
  const told = state?.[wanted];
  if (typeof told !== "number" || silent(device) || state?.flags.includes(`${wanted}:out_of_range`)) return null;
  return told;
}

/** Everything counted of some devices. */
export function tallyOf(some: readonly Device[]): Tally {
  const sum = nothing();
  for (const device of some) add(sum, one(device));
  return sum;
}

function middle(values: number[]): number | null {
  const sorted = values.sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? upper)) / 2;
}

function count(): Counts {
  const all = nothing();
  const places = new Map<string, Tally>();
  const peopled = new Set<string>();
  const values: number[] = [];
  for (const device of devices.value.values()) {
    const counted = one(device);
    add(all, counted);
    if (device.kind === "lamppost") {
      const told = value(device);
      if (told !== null) values.push(told);
    }
    const site = sites.value.has(device.site ?? "") ? (device.site ?? "") : "";
    if (site !== "") peopled.add(site);
    if (!chosen(device)) continue;
    const place = places.get(site) ?? nothing();
    places.set(site, place);
    add(place, counted);
  }
  return { all, median: middle(values), sites: peopled.size, places: kept(places) };
}

/** The same objects where nothing has changed, so that what shows them need not do so again. */
function kept(places: Map<string, Tally>): Map<string, Tally> {
  for (const [site, tally] of places) {
    const known = counts.peek()?.places.get(site);
    if (known !== undefined && FIELDS.every((name) => known[name] === tally[name])) places.set(site, known);
  }
  return places;
}

let due: ReturnType<typeof setTimeout> | undefined;
let last = Number.NEGATIVE_INFINITY;

function countNow(): void {
  clearTimeout(due);
  due = undefined;
  last = performance.now();
  if (sites.value.size > 0 || devices.value.size > 0) counts.value = count();
}

function countSoon(): void {
  due ??= setTimeout(countNow, Math.max(0, last + PACE_MS - performance.now()));
}

effect(() => {
  for (const each of [told, devices, sites, kinds, categories, coloured]) each.value;
  countSoon();
});
// What was counted before everything had been told must not be seen.
effect(() => {
  if (connection.value === "live") untracked(countNow);
});
setInterval(countSoon, LOOK_AGAIN_MS);
