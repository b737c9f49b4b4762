/** Counts in words, and values with their units. */

import { bytes } from "../../common/format";
import { language, named, t } from "../../common/i18n";
import { quantity } from "../look";
import type { Device, Property } from "../store";
import type { Tally } from "./tally";

/** What a place has, as `3 of 6 bays free`. */
export function inWords(tally: Tally): string {
  const words: string[] = [];
  const { bays, free, noParking, obstructed, points, available, lamps, reporting, meters, watts, sun } = tally;
  if (bays > 0) words.push(t("panel.bays_free", { free, bays }));
  if (points > 0) words.push(t("panel.points_available", { available, points }));
  if (noParking > 0) words.push(t("panel.no_parking", { noParking, obstructed }));
  if (lamps > 0) words.push(t("panel.lamps", { lamps, silent: lamps - reporting }));
  if (watts !== null) {
    words.push(t(watts < 0 ? "panel.feeds_in" : "panel.draws", { power: quantity(Math.abs(watts), "W") }));
  }
  if (watts === null && meters > 0) words.push(t("panel.meters", { meters }));
  if (sun !== null && sun >= 1) words.push(t("panel.sun", { power: quantity(sun, "W") }));
  const others = tally.devices - bays - noParking - points - lamps - meters;
  if (others > 0) words.push(t("panel.others", { others }));
  return begun(words.join(" · "));
}

/** With a capital, as a line begins. */
function begun(line: string): string {
  return line.slice(0, 1).toLocaleUpperCase(language.value) + line.slice(1);
}

/** A device's kind, and its category where it has one. */
export function sort({ kind, category }: Pick<Device, "kind" | "category">): string {
  const told = named("kind", kind);
  return category === undefined ? told : `${told} · ${named("category", category)}`;
}

/** A number of a property with its unit. */
export function withUnit(value: number, unit: string | undefined): string {
  if (unit === "byte") return bytes(value);
  const told = quantity(value, unit);
  return unit === "°" || unit === "%" ? told.replace(" ", "") : told;
}

/** A value of a property as it is told: a number with its unit, a state in words, else what it is. */
export function valueInWords(value: unknown, property: Property): string {
  if (typeof value === "number") return withUnit(value, property.unit);
  if (typeof value === "boolean") {
    const words: Record<string, [string, string]> = { occupied: ["free", "occupied"], lit: ["unlit", "lit"] };
    return named("state", words[property.name]?.[Number(value)] ?? String(value));
  }
  return property.states?.includes(String(value)) ? named("state", String(value)) : String(value);
}
