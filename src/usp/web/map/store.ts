/** What the page knows: the registry, once; the newest values, as the stream tells them. */

import { batch, computed, signal } from "@preact/signals";
import { all, get, Problem } from "../common/api";
import { asOf, now } from "../common/format";
import { listen, type State } from "../common/stream";

export interface Device {
  device: string;
  title?: string;
  kind: string;
  category?: string;
  parent?: string;
  site?: string;
  lon?: number;
  lat?: number;
  approximate?: boolean;
  /** Seconds between two readings; none where it reports changes. */
  interval?: number;
  /** Seconds for which what it reported is believed. */
  max_hold: number;
  retired_at?: string;
  datasets: string[];
}

export interface Site {
  site: string;
  title?: string;
  address?: string;
  lon?: number;
  lat?: number;
  approximate?: boolean;
  devices: number;
}

export interface Property {
  name: string;
  title: string;
  unit?: string;
  type: "real" | "double" | "integer" | "boolean" | "enum" | string;
  aggregation: string;
  range?: { min: number | null; max: number | null };
  states?: string[];
}

export interface Dataset {
  name: string;
  title: string;
  licence: string;
  attribution: string;
  kinds: string[];
  interval: boolean;
  properties: Property[];
}

/** One thing on the map: a device, or a building with the meters in it. */
export interface Spot {
  /** The name of the device or, of a building, of the site. */
  id: string;
  building: boolean;
  /** The kind of device; of a building `energy_meter`. */
  kind: string;
  category: string | null;
  title: string;
  site: string | null;
  lon: number;
  lat: number;
  devices: Device[];
}

/** Kinds that stand within buildings: their site is what the map shows. */
export const INDOORS = new Set(["energy_meter", "indoor_sensor"]);
/** By the rule of /health/ingest: three intervals, at least a minute; who reports changes, until they are believed no longer. */
const INTERVALS = 3;
const LEAST_S = 60;
/** By the same rule it is no measurement. */
const HEALTH = "device_health";
/** What has changed in the registry is waited for so long, and for what is not to be found there so long. */
const SOON_MS = 2_000;
const IN_VAIN_MS = 30_000;
/** Who has never measured anything, or has another title, is not told of by the stream. */
const READ_AGAIN_MS = 600_000;

export const devices = signal<ReadonlyMap<string, Device>>(new Map());
export const sites = signal<ReadonlyMap<string, Site>>(new Map());
export const datasets = signal<ReadonlyMap<string, Dataset>>(new Map());
/** Why the registry could not be read, if so. */
export const trouble = signal<string | null>(null);

/** What the operator of this platform has set for its pages. */
interface PageSettings {
  /** Raster tiles as a background, `https://…/{z}/{x}/{y}.png`, with what their owner wants to be said. */
  tiles: { url: string; attribution: string } | null;
}
export const settings = signal<PageSettings>({ tiles: null });

type States = Map<string, Map<string, State>>;
let states: States = new Map();
/** Between `reset` and `live`, what takes the place of `states`. */
let fresh: States | null = null;
/** Counts up whenever newest values have changed; what depends on them reads it. */
export const told = signal(0);
/** Names of devices whose newest values have changed since `takeChanged` was last called. */
let changed = new Set<string>();

/** The newest values of a device in a dataset. */
export function newest(device: string, dataset: string): State | undefined {
  return states.get(device)?.get(dataset);
}

/** The newest time at which a device measured anything, in ms since 1970. */
export function heard(device: string): number | null {
  const measured = [...(states.get(device)?.values() ?? [])].filter(({ dataset }) => dataset !== HEALTH);
  return measured.length === 0 ? null : Math.max(...measured.map(({ time }) => Date.parse(time)));
}

/** Whether a device has been silent for longer than it should be. */
export function silent(device: Device): boolean {
  const last = heard(device.device);
  const limit = device.interval === undefined ? device.max_hold : Math.max(INTERVALS * device.interval, LEAST_S);
  return last === null || asOf.value - last > limit * 1000;
}

/** The devices told of since the last call; for whoever draws them. */
export function takeChanged(): ReadonlySet<string> {
  const taken = changed;
  changed = new Set();
  return taken;
}

export const spots = computed<readonly Spot[]>(() => {
  const found: Spot[] = [];
  const buildings = new Map<string, Spot>();
  for (const device of devices.value.values()) {
    const site = sites.value.get(device.site ?? "");
    if (INDOORS.has(device.kind) && site?.lon !== undefined && site.lat !== undefined) {
      const building = buildings.get(site.site);
      if (building === undefined) {
        const { lon, lat } = site;
        const title = site.title ?? site.site;
        const spot = {
          id: site.site,
          building: true,
          kind: "energy_meter",
          category: null,
          title,
          site: site.site,
          lon,
          lat,
          devices: [device],
        };
        buildings.set(site.site, spot);
      } else building.devices.push(device);
    } else if (device.lon !== undefined && device.lat !== undefined) {
      found.push({
        id: device.device,
        building: false,
        kind: device.kind,
        category: device.category ?? null,
        title: device.title ?? device.device,
        site: device.site ?? null,
        lon: device.lon,
        lat: device.lat,
        devices: [device],
      });
    }
  }
  return [...found, ...buildings.values()];
});

let listedBefore = "";
/** Returns whether there was anything new. */
async function readRegistry(): Promise<boolean> {
  const [listed, stood] = await Promise.all([
    all<Device>("/v1/devices?limit=10000"),
    all<Site>("/v1/sites?limit=10000"),
  ]);
  const serving = listed.filter(({ retired_at }) => retired_at === undefined || Date.parse(retired_at) > now.peek());
  const listing = JSON.stringify([serving, stood]);
  if (listing === listedBefore) return false;
  listedBefore = listing;
  batch(() => {
    sites.value = new Map(stood.map((site) => [site.site, site]));
    devices.value = new Map(serving.map((device) => [device.device, device]));
  });
  return true;
}

let waiting: ReturnType<typeof setTimeout> | undefined;
let loading = false;
/** Read the registry, then listen; where it cannot be read, again after a while or when it is called again. */
export async function load(): Promise<void> {
  if (loading) return;
  loading = true;
  clearTimeout(waiting);
  try {
    const [set, described] = await Promise.all([
      get<PageSettings>("/pages/settings.json"),
      get<{ data: Dataset[] }>("/v1/datasets"),
      readRegistry(),
    ]);
    settings.value = set;
    datasets.value = new Map(described.data.map((dataset) => [dataset.name, dataset]));
    trouble.value = null;
  } catch (error) {
    trouble.value = error instanceof Error ? error.message : String(error);
    loading = false;
    waiting = setTimeout(load, ((error instanceof Problem && error.retryAfterS) || 5) * 1000);
    return;
  }
  listen("/v1/stream", { reset, state, gone, live });
  const readAgain = () => {
    if (!document.hidden) readRegistrySoon();
  };
  document.addEventListener("visibilitychange", readAgain);
  setInterval(readAgain, READ_AGAIN_MS);
}

function reset(): void {
  fresh = new Map();
}

function state(next: State): void {
  const into = fresh ?? states;
  const known = into.get(next.device) ?? new Map<string, State>();
  known.set(next.dataset, next);
  into.set(next.device, known);
  if (!isListed(next)) readRegistrySoon();
  if (fresh === null) tell(next.device);
}

function gone({ device, dataset }: { device: string; dataset: string }): void {
  const from = fresh ?? states;
  from.get(device)?.delete(dataset);
  if (from.get(device)?.size === 0) {
    from.delete(device);
    readRegistrySoon();
  }
  if (fresh === null) tell(device);
}

/** Everything has been told: what was known before has been shown until now. */
function live(): void {
  if (fresh === null) return;
  const words = (of: States, device: string) => JSON.stringify([...(of.get(device)?.values() ?? [])]);
  for (const device of new Set([...states.keys(), ...fresh.keys()])) {
    if (words(states, device) !== words(fresh, device)) changed.add(device);
  }
  states = fresh;
  fresh = null;
  told.value += 1;
}

/** Whether the registry, as it was last read, has the device where the stream tells it to be. */
function isListed({ device, site, lon, lat }: State): boolean {
  const known = devices.peek().get(device);
  return known !== undefined && known.site === site && known.lon === lon && known.lat === lat;
}

let telling = false;
/** Many changes at once are one. */
function tell(device: string): void {
  changed.add(device);
  if (telling) return;
  telling = true;
  setTimeout(() => {
    telling = false;
    told.value += 1;
  }, 100);
}

let reading = false;
let notBefore = 0;
/** A device is new, has moved or is out of service, or may be. */
function readRegistrySoon(): void {
  if (reading) return;
  reading = true;
  const read = async () => {
    const isNew = await readRegistry().catch(() => false);
    reading = false;
    if (!isNew) notBefore = performance.now() + IN_VAIN_MS;
    // Told while it was being read.
    else if ([...states.values()].some((known) => [...known.values()].some((told) => !isListed(told))))
      readRegistrySoon();
  };
  setTimeout(read, Math.max(SOON_MS, notBefore - performance.now()));
}
