/** At a glance: the verdict, and a row for each kind of device. */

import { ago, duration, number } from "../common/format";
import { type Key, named, t } from "../common/i18n";
import { goTo } from "./pieces";
import type { KindFigures, Series } from "./shapes";
import { countShares, delayShares, Spark } from "./spark";
import { verdict } from "./verdict";
import { chooseSilent, ingest, minutes } from "./watching";

/** Senders that nobody has registered. */
const NO_KIND = "unknown";
/** Beyond this nothing but that is known. */
const MOST_DELAY_S = 3600;

export function Glance() {
  const figures = ingest.value.value;
  const judged = verdict.value;
  const series = minutes.value.value?.kinds ?? {};
  const unknown = series[NO_KIND];
  return (
    <section id="glance" aria-labelledby="verdict">
      <div class={`verdict ${judged?.tone ?? "none"}`}>
        <p id="verdict" role="status">
          {judged?.text ?? t("ops.refreshing")}
        </p>
        {figures !== null && (
          <p class="quiet small">
            {t("ops.flow", {
              rate: number(figures.rates["1m"]),
              received: number(figures.totals.received),
              flight: number(figures.totals.in_flight),
            })}
          </p>
        )}
      </div>
      {figures !== null && (
        <div class="card">
          <table class="kinds">
            <caption class="unseen">{t("ops.glance")}</caption>
            <thead>
              <tr>
                {HEADS.map(([key, wide, kind]) => (
                  <th key={key} scope="col" colSpan={wide} class={kind}>
                    {t(key)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {Object.entries(figures.kinds).map(([kind, found]) => (
                <Row key={kind} kind={kind} figures={found} series={series[kind]} />
              ))}
              {unknown?.received.some((count) => count > 0) && <Row kind={NO_KIND} series={unknown} />}
            </tbody>
          </table>
          <p class="small quiet note">{t("ops.glance_note")}</p>
        </div>
      )}
    </section>
  );
}

const HEADS: [Key, number, string][] = [
  ["ops.kind", 1, ""],
  ["ops.reporting", 1, ""],
  ["ops.silent_count", 1, ""],
  ["ops.last_heard", 1, ""],
  ["ops.rate", 2, ""],
  ["ops.delay", 2, ""],
  ["ops.refused_hour", 1, "number"],
];

interface RowProps {
  kind: string;
  figures?: KindFigures;
  series: Series | undefined;
}

function Row({ kind, figures, series }: RowProps) {
  const refused = series?.rejected.reduce((sum, count) => sum + count, 0) ?? 0;
  const title = kind === NO_KIND ? t("ops.unregistered") : named("kind", kind);
  return (
    <tr>
      <th scope="row">{title}</th>
      <td data-label={t("ops.reporting")}>{figures && <Reporting figures={figures} />}</td>
      <td data-label={t("ops.silent_count")}>{figures && <SilentCount kind={kind} count={figures.silent} />}</td>
      <td data-label={t("ops.last_heard")}>
        {figures && (figures.last_event === null ? t("ops.never") : ago(figures.last_event))}
      </td>
      <td class="number figure" data-label={t("ops.rate")}>
        {figures ? number(figures.rates["1m"]) : ""}
      </td>
      <td class="line">{series && <Items series={series} />}</td>
      <td class="figure" data-label={t("ops.delay")}>
        {series && <Delay series={series} />}
      </td>
      <td class="line">{series && <Delays series={series} />}</td>
      <td class="number" data-label={t("ops.refused_hour")}>
        {refused === 0 ? (
          <span class="quiet">0</span>
        ) : (
          <a class="badge bad" href="#refused">
            {number(refused)}
          </a>
        )}
      </td>
    </tr>
  );
}

function Reporting({ figures: { expected, reporting } }: { figures: KindFigures }) {
  return (
    <span class="reporting">
      {t("ops.of", { part: number(reporting), whole: number(expected) })}
      <span class="bar" aria-hidden="true">
        <span style={{ width: `${expected === 0 ? 0 : (100 * reporting) / expected}%` }} />
      </span>
    </span>
  );
}

/** The count, and the way to who it is. */
function SilentCount({ kind, count }: { kind: string; count: number }) {
  if (count === 0) return <span class="quiet">0</span>;
  return (
    <button
      type="button"
      class="button count"
      aria-label={t("ops.show_silent", { count: number(count), kind: named("kind", kind) })}
      onClick={() => {
        chooseSilent(kind);
        goTo("silent");
      }}
    >
      {number(count)}
    </button>
  );
}

function Items({ series: { received } }: { series: Series }) {
  const told = { least: Math.min(...received), most: Math.max(...received), last: received.at(-1) ?? 0 };
  const text = t("ops.spark_items", {
    least: number(told.least),
    most: number(told.most),
    last: number(told.last),
  });
  return <Spark shares={countShares(received)} text={text} />;
}

function Delays({ series }: { series: Series }) {
  const known = series.delay_p95_s.filter((delay) => delay !== null);
  const text =
    known.length === 0
      ? t("ops.spark_nothing")
      : t("ops.spark_delay", { least: delayText(Math.min(...known)), most: delayText(Math.max(...known)) });
  return <Spark shares={delayShares(series.delay_p95_s)} text={text} tone="quiet" />;
}

/** Of the last minute in which anything came. */
function Delay({ series }: { series: Series }) {
  const half = series.delay_p50_s.findLast((delay) => delay !== null);
  const most = series.delay_p95_s.findLast((delay) => delay !== null);
  if (half === undefined || half === null || most === undefined || most === null) return <span class="quiet">–</span>;
  return (
    <>
      {delayText(half)} <span class="quiet">/ {delayText(most)}</span>
    </>
  );
}

function delayText(seconds: number): string {
  return `${seconds >= MOST_DELAY_S ? "≥ " : ""}${duration(seconds)}`;
}
