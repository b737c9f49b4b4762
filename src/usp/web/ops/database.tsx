/** Where everything is kept: versions, room, roll-ups, tables. */

import { bytes, duration, number, percent } from "../common/format";
import { named, t } from "../common/i18n";
import { Section, Told } from "./pieces";
import type { Hypertable, State } from "./shapes";
import { LONG_S, USUAL_S } from "./verdict";
import { state } from "./watching";

/** Tables shown before somebody asks for all. */
const SHOWN_TABLES = 6;
const HOURLY = "_hourly";

export function DatabaseSection() {
  const found = state.value.value;
  return (
    <Section id="database" title={t("ops.database")} problem={state.problem}>
      {found !== null && (
        <>
          {!!found.database.unanswered?.length && (
            <p class="banner wait">{t("ops.unanswered", { names: found.database.unanswered.join(", ") })}</p>
          )}
          <div class="columns">
            <Facts database={found.database} />
            <RollUps rollup={found.rollup} />
          </div>
          {found.database.hypertables !== undefined && <Tables tables={found.database.hypertables} />}
        </>
      )}
    </Section>
  );
}

function Facts({ database }: { database: State["database"] }) {
  const { connections, oldest_write: oldest } = database;
  const share = connections === undefined ? 0 : connections.used / connections.most;
  return (
    <div>
      <h3>{t("ops.server")}</h3>
      <dl class="facts">
        <div>
          <dt>PostgreSQL</dt>
          <dd>{database.postgresql ?? "–"}</dd>
        </div>
        <div>
          <dt>TimescaleDB</dt>
          <dd>
            {database.timescaledb ?? "–"}
            {database.licence !== undefined && (
              <span class="quiet"> · {t("ops.edition", { licence: database.licence })}</span>
            )}
          </dd>
        </div>
        <div>
          <dt>{t("ops.size")}</dt>
          <dd>{database.size_bytes === undefined ? "–" : bytes(database.size_bytes)}</dd>
        </div>
        {connections !== undefined && (
          <div>
            <dt>{t("ops.connections")}</dt>
            <dd>
              {t("ops.of", { part: number(connections.used), whole: number(connections.most) })}{" "}
              <span class={`badge ${share > 0.9 ? "bad" : share > 0.7 ? "wait" : "good"}`}>{percent(share)}</span>
            </dd>
          </div>
        )}
        <div>
          <dt>{t("ops.oldest_write")}</dt>
          <dd>
            {oldest === undefined && "–"}
            {oldest === null && t("ops.none")}
            {!!oldest && (
              <>
                {oldest.seconds === null ? (
                  "–"
                ) : (
                  <span class={oldest.seconds > LONG_S ? "badge bad" : ""}>{duration(oldest.seconds)}</span>
                )}{" "}
                <span class="quiet">
                  <Told
                    text={[oldest.application, oldest.account, oldest.pid].filter((it) => it !== null).join(" · ")}
                  />
                </span>
              </>
            )}
          </dd>
        </div>
      </dl>
    </div>
  );
}

/** In one sentence where all is as usual, else those that are behind. */
function RollUps({ rollup }: { rollup: State["rollup"] }) {
  const behind = rollup.filter((each) => each.behind_s > USUAL_S || each.marks > 0);
  const most = Math.max(0, ...rollup.map((each) => each.behind_s));
  return (
    <div>
      <h3>{t("ops.rollups")}</h3>
      {behind.length === 0 ? (
        <p>{t(rollup.length === 0 ? "ops.rollups_none" : "ops.rollups_well", { duration: duration(most) })}</p>
      ) : (
        <dl class="facts">
          {behind.map((each) => (
            <div key={each.dataset}>
              <dt>{named("dataset", each.dataset)}</dt>
              <dd>
                {each.behind_s > USUAL_S && <span class="badge wait">{duration(each.behind_s)}</span>}{" "}
                {each.marks > 0 && <span class="quiet">{t("ops.marks", { count: each.marks })}</span>}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

function Tables({ tables }: { tables: readonly Hypertable[] }) {
  const sorted = [...tables].sort((a, b) => b.bytes - a.bytes);
  const most = sorted[0]?.bytes ?? 1;
  return (
    <>
      <Rows tables={sorted.slice(0, SHOWN_TABLES)} most={most} />
      {sorted.length > SHOWN_TABLES && (
        <details>
          <summary class="small">{t("ops.more_tables", { count: sorted.length - SHOWN_TABLES })}</summary>
          <Rows tables={sorted.slice(SHOWN_TABLES)} most={most} />
        </details>
      )}
    </>
  );
}

function Rows({ tables, most }: { tables: readonly Hypertable[]; most: number }) {
  return (
    <table class="cards tables">
      <caption>
        <h3>{t("ops.tables")}</h3>
      </caption>
      <thead>
        <tr>
          <th scope="col">{t("ops.table")}</th>
          <th scope="col" class="number">
            {t("ops.size")}
          </th>
          <th scope="col" class="number">
            {t("ops.rows")}
          </th>
          <th scope="col" class="number">
            {t("ops.chunks")}
          </th>
        </tr>
      </thead>
      <tbody>
        {tables.map((table) => (
          <tr key={table.table}>
            <th scope="row">{titleOf(table.table)}</th>
            <td class="number" data-label={t("ops.size")}>
              <span class="sized">
                <span class="bar" aria-hidden="true">
                  <span style={{ width: `${(100 * table.bytes) / most}%` }} />
                </span>
                {bytes(table.bytes)}
              </span>
            </td>
            <td class="number" data-label={t("ops.rows")}>
              {table.rows === undefined ? "–" : number(table.rows)}
            </td>
            <td class="number" data-label={t("ops.chunks")}>
              {number(table.chunks)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function titleOf(table: string): string {
  const dataset = table.endsWith(HOURLY) ? table.slice(0, -HOURLY.length) : table;
  return dataset === table ? named("dataset", dataset) : t("ops.hourly", { dataset: named("dataset", dataset) });
}
