/** Who has not been heard of for longer than he should be, and where he stands. */

import { duration, moment, number } from "../common/format";
import { named, t } from "../common/i18n";
import { Section, Told } from "./pieces";
import type { Silent } from "./shapes";
import { chooseSilent, ingest, moreSilent, silent, silentKind } from "./watching";

export function SilentSection() {
  const kinds = Object.entries(ingest.value.value?.kinds ?? {}).filter(([, figures]) => figures.silent > 0);
  const count = kinds.reduce((sum, [, figures]) => sum + figures.silent, 0);
  const chosen = silentKind.value;
  const page = silent.value.value;
  // Of another choice than before, until the answer has come.
  const rows = page?.data.filter((row) => chosen === null || row.kind === chosen) ?? [];
  return (
    <Section
      id="silent"
      title={t("ops.silent")}
      aside={count > 0 && <span class="badge wait">{number(count)}</span>}
      problem={silent.problem}
    >
      {(kinds.length > 1 || chosen !== null) && (
        <div class="row chips" role="group" aria-label={t("ops.kind")}>
          <Chip kind={null} title={t("ops.all_kinds")} count={count} />
          {kinds.map(([kind, figures]) => (
            <Chip key={kind} kind={kind} title={named("kind", kind)} count={figures.silent} />
          ))}
        </div>
      )}
      {page !== null && rows.length === 0 ? <p class="quiet">{t("ops.silent_none")}</p> : <Table rows={rows} />}
      {page?.next && (
        <button type="button" class="button" onClick={moreSilent}>
          {t("ops.more")}
        </button>
      )}
    </Section>
  );
}

function Chip({ kind, title, count }: { kind: string | null; title: string; count: number }) {
  return (
    <button type="button" class="chip" aria-pressed={silentKind.value === kind} onClick={() => chooseSilent(kind)}>
      {title} <span class="quiet">{number(count)}</span>
    </button>
  );
}

function Table({ rows }: { rows: readonly Silent[] }) {
  if (rows.length === 0) return null;
  return (
    <table class="cards">
      <caption class="unseen">{t("ops.silent")}</caption>
      <thead>
        <tr>
          <th scope="col">{t("ops.device")}</th>
          <th scope="col">{t("ops.kind")}</th>
          <th scope="col">{t("ops.place")}</th>
          <th scope="col">{t("ops.last_heard")}</th>
          <th scope="col">{t("ops.silent_for")}</th>
          <th scope="col">{t("ops.usually")}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={row.device} row={row} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ row }: { row: Silent }) {
  return (
    <tr>
      <th scope="row">
        <a href={`/?device=${encodeURIComponent(row.device)}`} title={t("ops.on_map")}>
          <Told text={row.title ?? row.device} />
        </a>
        {row.title !== undefined && (
          <div class="small quiet">
            <Told text={row.device} />
          </div>
        )}
      </th>
      <td data-label={t("ops.kind")}>{named("kind", row.kind)}</td>
      <td data-label={t("ops.place")}>{row.site === undefined ? "–" : <Told text={row.site_title ?? row.site} />}</td>
      <td data-label={t("ops.last_heard")}>
        {row.last_time === undefined ? (
          t("ops.never")
        ) : (
          <time dateTime={row.last_time}>{moment(row.last_time, "medium")}</time>
        )}
      </td>
      <td data-label={t("ops.silent_for")}>
        {row.silent_for_s === undefined ? "–" : <strong>{duration(row.silent_for_s)}</strong>}
      </td>
      <td data-label={t("ops.usually")}>
        {row.interval === undefined ? t("ops.on_change") : t("ops.every", { duration: duration(row.interval) })}
      </td>
    </tr>
  );
}
