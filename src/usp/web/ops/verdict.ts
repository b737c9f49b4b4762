/** How the platform is, in one sentence. */

import { computed } from "@preact/signals";
import { number } from "../common/format";
import { t } from "../common/i18n";
import type { Ingest } from "./shapes";
import { awaySince, ingest, ready, state, waiting } from "./watching";

export interface Verdict {
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

/** The worst that is known; null before anything is. */
export const verdict = computed<Verdict | null>(() => {
  const failing = Object.entries(ready.value.value?.dependencies ?? {}).find(
    ([, found]) => found.critical && found.status !== "ok",
  );
  if (failing !== undefined) return { tone: "bad", text: t("ops.verdict.dependency", { name: failing[0] }) };
  if (awaySince.value !== null) return { tone: "bad", text: t("ops.verdict.away") };
  const figures = ingest.value.value;
  if (figures === null) return null;
  const broker = state.value.value?.broker;
  if (broker?.workers === 0) return { tone: "bad", text: t("ops.verdict.no_worker") };
  if (broker?.connected === 0) return { tone: "bad", text: t("ops.verdict.no_broker") };
  const { expected, reporting, silent } = devicesOf(figures);
  const told = { silent, waiting: waiting.value, expected: number(expected), reporting: number(reporting) };
  if (silent > 0) return { tone: "wait", text: t(told.waiting > 0 ? "ops.verdict.both" : "ops.verdict.silent", told) };
  if (told.waiting > 0) return { tone: "wait", text: t("ops.verdict.refused", told) };
  return { tone: "good", text: t(expected === 0 ? "ops.verdict.nobody" : "ops.verdict.well", told) };
});
