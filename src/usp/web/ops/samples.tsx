/** Of one reason: what it means, its newest messages, and taking up some or all of them again. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address, get, type Problem } from "../common/api";
import { ago, bytes, moment } from "../common/format";
import { t } from "../common/i18n";
import { Payload } from "./payload";
import { Told, Trouble } from "./pieces";
import { Replay } from "./replay";
import { asProblem } from "./session";
import type { Page, ReasonFigures, Rejection } from "./shapes";
import { reasons } from "./watching";

const AT_ONCE = 20;

type Which = "open" | "resolved";

/** What has been read of one reason, and of which state of its figures. */
interface Read {
  rows: Rejection[];
  next: string | null;
  which: Which;
  mark: string;
}

/** Changes whenever something has come or gone. */
function markOf(reason: string): string {
  const row = reasons.value.value?.data.find((each) => each.reason === reason);
  return row === undefined ? "" : `${row.open} ${row.resolved} ${row.last ?? ""}`;
}

export function Samples({ row }: { row: ReasonFigures }) {
  const read = useSignal<Read | null>(null);
  const problem = useSignal<Problem | null>(null);
  const means = useSignal("");
  const ticked = useSignal<ReadonlySet<number>>(new Set());

  async function load(which: Which): Promise<void> {
    const mark = markOf(row.reason);
    try {
      const url = address("/v1/ops/rejections", { reason: row.reason, state: which, limit: AT_ONCE });
      const page = await get<Page<Rejection>>(url);
      read.value = { rows: page.data, next: page.next, which, mark };
      const left = new Set(page.data.map((sample) => sample.id));
      ticked.value = new Set([...ticked.value].filter((id) => left.has(id)));
      problem.value = null;
      const [first] = page.data;
      if (means.value === "" && first !== undefined)
        means.value = (await get<{ explanation: string }>(`/v1/ops/rejections/${first.id}`)).explanation;
    } catch (error) {
      problem.value = asProblem(error);
    }
  }

  async function more(): Promise<void> {
    const before = read.value;
    if (before?.next == null) return;
    try {
      const { pathname, search } = new URL(before.next, location.href);
      const page = await get<Page<Rejection>>(pathname + search);
      read.value = { ...before, rows: [...before.rows, ...page.data], next: page.next };
    } catch (error) {
      problem.value = asProblem(error);
    }
  }

  // Once; what comes later is shown when it is asked for.
  useEffect(() => {
    load(row.open > 0 ? "open" : "resolved");
  }, []);

  const known = read.value;
  const which = known?.which ?? "open";
  return (
    <>
      {means.value !== "" && (
        <p lang="en" class="means">
          {means.value}
        </p>
      )}
      {problem.value !== null && <Trouble problem={problem.value} />}
      {which === "open" && <Replay row={row} ticked={ticked} done={() => load("open")} />}
      <div class="row">
        <div class="switch" role="group" aria-label={t("ops.which")}>
          {(["open", "resolved"] as const).map((each) => (
            <button key={each} type="button" aria-pressed={which === each} onClick={() => load(each)}>
              {t(each === "open" ? "ops.waiting" : "ops.resolved_ones")}
            </button>
          ))}
        </div>
        {known !== null && known.mark !== markOf(row.reason) && (
          <button type="button" class="button" onClick={() => load(which)}>
            {t("ops.look_again")}
          </button>
        )}
      </div>
      {known?.rows.length === 0 && <p class="quiet">{t("ops.no_samples")}</p>}
      <ol class="samples">
        {known?.rows.map((sample, index) => (
          <Sample key={sample.id} sample={sample} first={index === 0} ticked={which === "open" ? ticked : null} />
        ))}
      </ol>
      {known?.next != null && (
        <button type="button" class="button" onClick={more}>
          {t("ops.more")}
        </button>
      )}
    </>
  );
}

interface SampleProps {
  sample: Rejection;
  first: boolean;
  /** Null where nothing can be done with it any more. */
  ticked: Signal<ReadonlySet<number>> | null;
}

function Sample({ sample, first, ticked }: SampleProps) {
  const sender = sample.device ?? sample.address ?? "?";
  return (
    <li>
      {ticked !== null && (
        <input
          type="checkbox"
          aria-label={t("ops.tick", { sender, time: moment(sample.received_at, "medium") })}
          checked={ticked.value.has(sample.id)}
          onChange={(event) => {
            const next = new Set(ticked.value);
            if (event.currentTarget.checked) next.add(sample.id);
            else next.delete(sample.id);
            ticked.value = next;
          }}
        />
      )}
      <div class="grow">
        <p class="row what">
          <time dateTime={sample.received_at} title={ago(sample.received_at)}>
            {moment(sample.received_at, "medium")}
          </time>
          {sample.device === undefined ? (
            <Told text={sender} code />
          ) : (
            <a href={`/?device=${encodeURIComponent(sample.device)}`} title={t("ops.on_map")}>
              <Told text={sample.device} />
            </a>
          )}
          {!sample.whole_item && <span class="badge">{t("ops.one_value")}</span>}
          {sample.resolved_at !== undefined && (
            <span class="badge good">{t("ops.resolved_at", { ago: ago(sample.resolved_at) })}</span>
          )}
        </p>
        {(sample.field !== undefined || sample.detail !== undefined) && (
          <p class="detail">
            {sample.field !== undefined && (
              <>
                <span class="quiet">{t("ops.field")} </span>
                <Told text={sample.field} code />{" "}
              </>
            )}
            {sample.detail !== undefined && <Told text={sample.detail} />}
          </p>
        )}
        <details open={first}>
          <summary class="small">
            {t("ops.message")}
            {sample.payload_length !== undefined && ` · ${bytes(sample.payload_length)}`}
          </summary>
          <p class="small quiet">
            {t("ops.door_of", { door: sample.door })} <Told text={sample.topic ?? ""} code />
          </p>
          <Payload sample={sample} />
        </details>
      </div>
    </li>
  );
}
