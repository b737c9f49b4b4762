/** What was refused, by reason; each opens into its samples, and into taking them up again. */

import { signal } from "@preact/signals";
import { ago } from "../common/format";
import { named, t } from "../common/i18n";
import { Section } from "./pieces";
import { Samples } from "./samples";
import type { ReasonFigures } from "./shapes";
import { reasons, waiting } from "./watching";

/** Which reasons are open; several may be, so that opening one moves nothing above it. */
const opened = signal<ReadonlySet<string>>(new Set());
/** Reasons in the order in which this page first saw them: what is read or pointed at stays where it is. */
const order: string[] = [];

function inOrder(rows: readonly ReasonFigures[]): ReasonFigures[] {
  for (const { reason } of rows) if (!order.includes(reason)) order.push(reason);
  return [...rows].sort((a, b) => order.indexOf(a.reason) - order.indexOf(b.reason));
}

export function RefusedSection() {
  const rows = reasons.value.value?.data ?? null;
  return (
    <Section
      id="refused"
      title={t("ops.refused")}
      aside={waiting.value > 0 && <span class="badge wait">{t("ops.wait", { count: waiting.value })}</span>}
      problem={reasons.problem}
    >
      {rows !== null && rows.length === 0 && <p class="quiet">{t("ops.refused_none")}</p>}
      <ul class="reasons">
        {inOrder(rows ?? []).map((row) => (
          <Reason key={row.reason} row={row} />
        ))}
      </ul>
    </Section>
  );
}

function Reason({ row }: { row: ReasonFigures }) {
  const open = opened.value.has(row.reason);
  const id = `reason-${row.reason}`;
  const beyond = row.total - row.kept;
  return (
    <li class={open ? "open" : ""}>
      <h3>
        <button
          type="button"
          class="reason"
          aria-expanded={open}
          aria-controls={open ? id : undefined}
          onClick={() => {
            const next = new Set(opened.value);
            if (!next.delete(row.reason)) next.add(row.reason);
            opened.value = next;
          }}
        >
          <svg class="chevron" viewBox="0 0 12 12" aria-hidden="true">
            <path d="M4 2l4 4-4 4" />
          </svg>
          <span class="name">{named("reason", row.reason)}</span>
          {row.open > 0 ? (
            <span class="badge bad">{t("ops.wait", { count: row.open })}</span>
          ) : (
            <span class="badge good">{t("ops.nothing_waits")}</span>
          )}
          <span class="figures quiet small">
            {row.resolved > 0 && <span>{t("ops.resolved", { count: row.resolved })}</span>}
            {beyond > 0 && <span>{t("ops.only_counted", { count: beyond })}</span>}
            {row.last !== undefined && <span>{t("ops.last", { ago: ago(row.last) })}</span>}
          </span>
        </button>
      </h3>
      {open && (
        <div id={id} class="opened">
          <Samples row={row} />
        </div>
      )}
    </li>
  );
}
