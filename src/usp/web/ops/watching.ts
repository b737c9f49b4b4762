/** What the page knows of the platform, asked for again every few seconds for as long as somebody can see it. */

import { batch, computed, effect, signal } from "@preact/signals";
import { address, get, type Problem } from "../common/api";
import { now } from "../common/format";
import { asProblem, isAway, refused, session } from "./session";
import type { Candidates, Ingest, Minutes, Page, Ready, ReasonFigures, Silent, State } from "./shapes";

const ROUND_MS = 5_000;
const PATIENCE_MS = 20_000;
const SILENT_ROWS = 20;

/** One answer of the API, the newest that came, and what has gone wrong since. */
class Source<T> {
  readonly value = signal<T | null>(null);
  readonly problem = signal<Problem | null>(null);
  private asked = 0;
  private turn = 0;

  constructor(
    private readonly url: () => string,
    private readonly everyMs = ROUND_MS,
    private readonly read: (url: string, signal: AbortSignal) => Promise<T> = get,
  ) {}

  get due(): boolean {
    return Date.now() - this.asked >= this.everyMs - ROUND_MS / 2;
  }

  /** Ask now; an older answer that is still on its way is then not looked at. */
  async ask(): Promise<void> {
    this.asked = Date.now();
    this.turn += 1;
    const turn = this.turn;
    try {
      const told = await this.read(this.url(), AbortSignal.timeout(PATIENCE_MS));
      if (turn !== this.turn) return;
      batch(() => {
        this.value.value = told;
        this.problem.value = null;
      });
    } catch (error) {
      if (turn !== this.turn) return;
      const problem = asProblem(error);
      this.problem.value = problem;
      if (isAway(problem)) this.asked = 0;
    }
  }

  forget(): void {
    this.turn += 1;
    this.asked = 0;
    this.value.value = null;
    this.problem.value = null;
  }
}

/** Which kind's silent devices are listed, and how many at most; null for all kinds. */
export const silentKind = signal<string | null>(null);
const silentMost = signal(SILENT_ROWS);

export const ingest = new Source<Ingest>(() => "/health/ingest");
export const reasons = new Source<Page<ReasonFigures>>(() => "/v1/ops/rejections/stats");
export const minutes = new Source<Minutes>(() => "/v1/ops/minutes?minutes=60", 15_000);
export const silent = new Source<Page<Silent>>(
  () => address("/v1/ops/silent", { kind: silentKind.value, limit: silentMost.value }),
  10_000,
);
export const state = new Source<State>(() => "/v1/ops/state", 10_000);
// A dependency that fails makes the answer a 503, and that is the one worth reading.
export const ready = new Source<Ready>(
  () => "/health/ready",
  10_000,
  async (url, signal) => (await fetch(url, { signal })).json(),
);
// Asking makes the codecs try what waits, so not so often.
export const candidates = new Source<Candidates>(() => "/v1/ops/candidates", 30_000);

const SOURCES: readonly Source<unknown>[] = [ingest, reasons, minutes, silent, state, ready, candidates];

/** When the last round ended well, in ms since 1970; since when no round has, and what the platform said to it, if anything. */
export const refreshed = signal<number | null>(null);
export const awaySince = signal<number | null>(null);
export const awaySaid = signal("");

/** How many refused messages wait, whatever their reason. */
export const waiting = computed(() => reasons.value.value?.data.reduce((sum, row) => sum + row.open, 0) ?? 0);

let asking = false;

async function round(): Promise<void> {
  if (asking || document.hidden || session.value.state !== "open") return;
  asking = true;
  await Promise.all(SOURCES.filter((source) => source.due).map((source) => source.ask()));
  asking = false;
  const problems = SOURCES.map((source) => source.problem.value).filter((problem) => problem !== null);
  const unwanted = problems.find((problem) => problem.status === 401 || problem.status === 403);
  if (unwanted !== undefined) {
    refused(unwanted);
  } else if (problems.some(isAway)) {
    awaySince.value ??= now.peek();
    awaySaid.value = problems.find((problem) => isAway(problem) && problem.status > 0)?.message ?? "";
  } else {
    refreshed.value = now.peek();
    awaySince.value = null;
  }
}

/** List the silent devices of a kind, or of all; as many rows as at first. */
export function chooseSilent(kind: string | null): void {
  batch(() => {
    silentKind.value = kind;
    silentMost.value = SILENT_ROWS;
  });
  silent.ask();
}

export function moreSilent(): void {
  silentMost.value = Math.min(10_000, silentMost.value * 5);
  silent.ask();
}

/** Look again and again from now on, whenever there is a token and somebody can see the page. */
export function keepWatching(): void {
  setInterval(round, ROUND_MS);
  document.addEventListener("visibilitychange", round);
  effect(() => {
    if (session.value.state === "open") round();
    else
      batch(() => {
        for (const source of SOURCES) source.forget();
        refreshed.value = null;
        awaySince.value = null;
      });
  });
}
