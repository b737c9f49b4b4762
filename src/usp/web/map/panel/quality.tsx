/** How good a device's data is, in sentences (docs/data-quality.md). */

import { address } from "../../common/api";
import { duration, now, percent } from "../../common/format";
import { named, t } from "../../common/i18n";
import { type Device, datasets } from "../store";
import { useAnswer } from "./answer";
import { Part, Trouble, Waiting } from "./pieces";
import { valueInWords } from "./words";

interface Quality {
  rejected: number;
  datasets: {
    dataset: string;
    count: number;
    expected: number | null;
    completeness: number | null;
    flagged: number;
    raw: { rows: number; late: number; delay_p50_s?: number | null } | null;
    properties: {
      property: string;
      flagged: number;
      bottom_coded?: number;
      stuck?: { value: number; since: string; readings: number };
    }[];
  }[];
}

const EVERY_S = 300;
/** Where this share came later on purpose, delays tell nothing about the way. */
const MANY = 0.1;
/** Below this, a dataset is named as incomplete. */
const COMPLETE = 0.9;

type Of = Quality["datasets"][number];

function sum(listed: readonly Of[], value: (of: Of) => number | null | undefined): number {
  return listed.reduce((total, of) => total + (value(of) ?? 0), 0);
}

/** A share that never says all where something is missing. */
function share(part: number): string {
  return percent(part > 0.999 && part < 0.9999 ? 0.999 : Math.min(1, part));
}

function arrival(listed: readonly Of[]): string[] {
  const counted = listed.filter(({ expected }) => (expected ?? 0) > 0);
  const states = listed.filter(({ expected, completeness }) => expected === null && completeness !== null);
  const told: string[] = [];
  if (counted.length > 0) {
    const part = sum(counted, ({ count }) => count) / sum(counted, ({ expected }) => expected);
    told.push(t("quality.arrived", { share: share(part) }));
  }
  if (states.length > 0) {
    told.push(t("quality.known", { share: share(sum(states, ({ completeness }) => completeness) / states.length) }));
  }
  if (listed.length > 1) {
    for (const { dataset, completeness } of listed) {
      if (completeness === null || completeness >= COMPLETE) continue;
      told.push(t("quality.incomplete", { dataset: named("dataset", dataset), share: share(completeness) }));
    }
  }
  return told;
}

function delay(listed: readonly Of[]): string[] {
  const rows = sum(listed, ({ raw }) => raw?.rows);
  const late = sum(listed, ({ raw }) => raw?.late);
  if (rows > 0 && late > MANY * rows) return [t("quality.late", { late, share: percent(late / rows) })];
  const delays = listed.map(({ raw }) => raw?.delay_p50_s).filter((delay) => typeof delay === "number");
  if (delays.length === 0) return [];
  return [t("quality.delay", { duration: duration(Math.max(1, Math.ceil(Math.max(...delays)))) })];
}

function faults(listed: readonly Of[], rejected: number): string[] {
  const told: string[] = [];
  const flagged = sum(listed, (of) => of.flagged);
  if (flagged > 0) {
    const which = listed.flatMap(({ properties }) => properties.filter((property) => property.flagged > 0));
    const names = which.map(({ property }) => named("property", property)).join(", ");
    told.push(t("quality.flagged", { flagged, properties: names }));
  }
  for (const { dataset, properties } of listed) {
    for (const { property, stuck, bottom_coded: few = 0 } of properties) {
      const known = datasets.value.get(dataset)?.properties.find(({ name }) => name === property);
      if (few > 0) told.push(t("quality.bottom_coded", { count: few, property: named("property", property) }));
      if (stuck === undefined || known === undefined) continue;
      const length = duration((now.peek() - new Date(stuck.since).getTime()) / 1000);
      const value = valueInWords(stuck.value, known);
      told.push(t("quality.stuck", { property: named("property", property), value, duration: length }));
    }
  }
  if (rejected > 0) told.push(t("quality.rejected", { rejected }));
  return told;
}

/** All that is to be said, the most important first. */
function sentences(quality: Quality): string[] {
  const listed = quality.datasets;
  if (listed.length === 0) return [t("quality.nothing")];
  return [...arrival(listed), ...delay(listed), ...faults(listed, quality.rejected)];
}

export function QualityPart({ device }: { device: Device }) {
  const url = () => address(`/v1/devices/${device.device}/quality`);
  const answer = useAnswer<Quality>(device.device, url, EVERY_S);
  return (
    <Part id="quality-title" title={t("quality.title")}>
      {answer.data === null && answer.problem === null && <Waiting lines={3} />}
      {answer.data !== null && <p class="prose">{sentences(answer.data).join(" ")}</p>}
      <Trouble answer={answer} />
    </Part>
  );
}
