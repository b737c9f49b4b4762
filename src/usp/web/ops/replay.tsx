/** Taking up again what was refused: trying it, doing it, and what became of it. */

import { type Signal, useSignal } from "@preact/signals";
import { type Problem, postLines } from "../common/api";
import { number } from "../common/format";
import { t } from "../common/i18n";
import { reasonsText, Told, Trouble } from "./pieces";
import { asProblem } from "./session";
import type { Progress, ReasonFigures } from "./shapes";
import { candidates, ingest, reasons, silent } from "./watching";

interface Props {
  row: ReasonFigures;
  /** The numbers that are chosen; none means all of the reason. */
  ticked: Signal<ReadonlySet<number>>;
  /** Called when something has been taken up. */
  done: () => void;
}

interface Run {
  trial: boolean;
  running: boolean;
  told: Progress | null;
}

export function Replay({ row, ticked, done }: Props) {
  const run = useSignal<Run | null>(null);
  const problem = useSignal<Problem | null>(null);
  const some = ticked.value.size;

  async function start(trial: boolean): Promise<void> {
    if (run.value?.running) return;
    problem.value = null;
    run.value = { trial, running: true, told: null };
    const chosen = some > 0 ? { ids: [...ticked.value] } : { reason: row.reason };
    try {
      await postLines<Progress>("/v1/ops/rejections/replay", { ...chosen, dry_run: trial }, (told) => {
        run.value = { trial, running: !told.done && told.interrupted === undefined, told };
      });
    } catch (error) {
      problem.value = asProblem(error);
    }
    const last = run.value?.told ?? null;
    // Where the connection broke nobody has said how it ended.
    if (run.value?.running && problem.value === null) run.value = { trial, running: false, told: last };
    else if (problem.value !== null) run.value = last === null ? null : { trial, running: false, told: last };
    if (trial) return;
    await Promise.all([reasons, ingest, silent, candidates].map((source) => source.ask()));
    done();
  }

  const busy = run.value?.running ?? false;
  const count = number(some > 0 ? some : row.open);
  if (row.open === 0 && run.value === null) return null;
  return (
    <div class="replay">
      {(row.open > 0 || busy) && (
        <div class="row">
          <button type="button" class="button" aria-disabled={busy} onClick={() => start(true)}>
            {t(some > 0 ? "ops.try_some" : "ops.try_all", { count })}
          </button>
          <button type="button" class="button main" aria-disabled={busy} onClick={() => start(false)}>
            {t(some > 0 ? "ops.replay_some" : "ops.replay_all", { count })}
          </button>
          <span class="small quiet grow">{t("ops.replay_note")}</span>
        </div>
      )}
      {busy && <Running told={run.value?.told ?? null} />}
      <div role="status">
        {run.value !== null && !run.value.running && run.value.told !== null && (
          <Outcome trial={run.value.trial} told={run.value.told} />
        )}
      </div>
      {problem.value !== null && <Trouble problem={problem.value} />}
    </div>
  );
}

function Running({ told }: { told: Progress | null }) {
  const text =
    told === null
      ? t("ops.replay_begins")
      : t("ops.replay_goes_on", { taken: number(told.taken), chosen: number(told.chosen) });
  return (
    <div class="row">
      <progress aria-label={text} max={told?.chosen || 1} value={told?.taken} />
      <span class="small">{text}</span>
    </div>
  );
}

function Outcome({ trial, told }: { trial: boolean; told: Progress }) {
  const refused = Object.values(told.refused).reduce((sum, count) => sum + count, 0);
  const tone =
    told.interrupted !== undefined || !told.done ? "bad" : refused > 0 || told.chosen === 0 ? "wait" : "good";
  return (
    <div class={`banner ${tone}`}>
      <p>
        {told.chosen === 0
          ? t("ops.replay_nothing")
          : t(trial ? "ops.tried" : "ops.replayed", { taken: told.taken, resolved: told.resolved, refused })}
      </p>
      {refused > 0 && <p class="small">{t("ops.refused_again", { reasons: reasonsText(told.refused) })}</p>}
      {told.without_bytes > 0 && <p class="small">{t("ops.without_bytes", { count: told.without_bytes })}</p>}
      {!told.done && (
        <p>
          {t("ops.interrupted")} <Told text={told.interrupted ?? ""} />
        </p>
      )}
    </div>
  );
}
