/** How the platform is, in one sentence. */

import { computed } from "@preact/signals";
import { duration } from "../common/format";
import { t } from "../common/i18n";
import type { Ingest, State } from "./shapes";
import { awaySince, ingest, ready, state, waiting } from "./watching";

/** Hours are rolled up ten minutes after they are over, and a second worker's turn may come first. */
export const USUAL_S = 4_200;
/** A transaction that writes for longer holds roll-ups up. */
export const LONG_S = 600;
/** So much more than usual is no longer a turn that came late. */
const FAR_S = 7_200;

interface Verdict {
  tone: "good" | "wait" | "bad";
  text: string;
}

/** Devices of all kinds together. */
export function devicesOf(figures: Ingest): { expected: number; reporting: number; silent: number } {
  const sum = { expected: 0, reporting: 0, silent: 0 };
  for (const kind of Object.values(figures.kinds)) {
    sum.expected += kind.expected;
    sum.reporting += kind.reporting;
    sum.silent += kind.silent;
  }
  return sum;
}

/** What goes on working with less than it should have. */
function weaknesses({ workers, rollup, database }: State): string[] {
  const told: string[] = [];
  const dead = workers.filter(({ alive }) => !alive).length;
  if (dead > 0) told.push(t("ops.verdict.dead", { dead, workers: workers.length }));
  const writing = database.oldest_write?.seconds ?? 0;
  if (writing > LONG_S) told.push(t("ops.verdict.writing", { duration: duration(writing) }));
  const behind = Math.max(0, ...rollup.map(({ behind_s }) => behind_s));
  if (behind > USUAL_S + FAR_S) told.push(t("ops.verdict.behind", { duration: duration(behind) }));
  return told;
}

/** What is to be said of devices and messages; null where nothing is. */
function lacking(told: { silent: number; waiting: number; expected: number }): string | null {
  if (told.silent > 0) return t(told.waiting > 0 ? "ops.verdict.both" : "ops.verdict.silent", told);
  return told.waiting > 0 ? t("ops.verdict.refused", told) : null;
}

/** The worst that is known; null before anything is. */
export const verdict = computed<Verdict | null>(() => {
  const failing = Object.entries(ready.value.value?.dependencies ?? {}).find(
    ([, found]) => found.critical && found.status !== "ok",
  );
  if (failing !== undefined) return { tone: "bad", text: t("ops.verdict.dependency", { name: failing[0] }) };
  if (awaySince.value !== null) return { tone: "bad", text: t("ops.verdict.away") };
  const figures = ingest.value.value;
  if (figures === null) return null;
  const now = state.value.value;
  if (now?.broker.workers === 0) return { tone: "bad", text: t("ops.verdict.no_worker") };
  if (now?.broker.connected === 0) return { tone: "bad", text: t("ops.verdict.no_broker") };
  const { expected, reporting, silent } = devicesOf(figures);
  const wanting = [
    ...(now === null ? [] : weaknesses(now)),
    lacking({ silent, waiting: waiting.value, expected }),
  ].filter((text) => text !== null);
  if (wanting.length > 0) return { tone: "wait", text: wanting.join(" · ") };
  return { tone: "good", text: t(expected === 0 ? "ops.verdict.nobody" : "ops.verdict.well", { expected, reporting }) };
});
