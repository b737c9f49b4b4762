/** Streets, buildings and devices by name: what the search looks through. */

import { computed } from "@preact/signals";
import { plain } from "../common/format";
import type { Selection } from "./choice";
import { devices, sites } from "./store";

export interface Found {
  /** Unique among all. */
  key: string;
  title: string;
  chosen: Exclude<Selection, null>;
}

interface Entry extends Found {
  /** The title in plain letters, and everything else it can be found by. */
  name: string;
  text: string;
}

const MOST = 8;
/** So much farther than any street is any device. */
const STREETS = 10;

const entries = computed<readonly Entry[]>(() => {
  const entry = (key: string, title: string, chosen: Entry["chosen"], others: (string | undefined)[]): Entry => {
    const name = plain(title);
    return { key, title, chosen, name, text: plain([title, ...others].join(" ")) };
  };
  return [
    ...[...sites.value.values()].map(({ site, title, address }) =>
      entry(`site-${site}`, title ?? site, { site }, [address, site]),
    ),
    ...[...devices.value.values()].map(({ device, title }) =>
      entry(`device-${device}`, title ?? device, { device }, [device]),
    ),
  ];
});

/** How well an entry fits, the lower the better; null where it does not at all. */
function distance(entry: Entry, words: readonly string[], whole: string): number | null {
  if (!words.every((word) => entry.text.includes(word))) return null;
  const street = "site" in entry.chosen ? 0 : STREETS;
  if (entry.name === whole) return 0;
  if (entry.name.startsWith(whole)) return 1 + street;
  const starts = words.every((word) => entry.text.startsWith(word) || entry.text.includes(` ${word}`));
  return (starts ? 2 : 3) + street;
}

/** The best matches: streets before their devices, what begins so before what only contains it. */
export function find(asked: string): readonly Found[] {
  const whole = plain(asked).trim();
  if (whole === "") return [];
  const words = whole.split(/\s+/);
  const fitting: { entry: Entry; far: number }[] = [];
  for (const entry of entries.value) {
    const far = distance(entry, words, whole);
    if (far !== null) fitting.push({ entry, far });
  }
  const order = new Intl.Collator(undefined, { numeric: true });
  return fitting
    .sort((a, b) => a.far - b.far || order.compare(a.entry.title, b.entry.title))
    .slice(0, MOST)
    .map(({ entry }) => entry);
}
