/** What takes messages in: dependencies, broker, workers. */

import { ago, duration, moment, now, number } from "../common/format";
import { t } from "../common/i18n";
import { Section, Told } from "./pieces";
import type { State, Worker } from "./shapes";
import { ready, state } from "./watching";

export function MachineSection() {
  const found = state.value.value;
  return (
    <Section id="machine" title={t("ops.machine")} problem={state.problem}>
      <div class="columns">
        <Dependencies />
        {found !== null && <Broker broker={found.broker} />}
      </div>
      {found !== null && <Workers workers={found.workers} />}
    </Section>
  );
}

function Dependencies() {
  const found = Object.entries(ready.value.value?.dependencies ?? {});
  return (
    <div>
      <h3>{t("ops.dependencies")}</h3>
      <dl class="facts">
        {found.map(([name, each]) => (
          <div key={name}>
            <dt>
              <span class={`badge ${each.status === "ok" ? "good" : each.critical ? "bad" : "wait"}`}>
                {each.status === "ok" ? t("ops.ok") : <Told text={each.status} />}
              </span>{" "}
              <Told text={name} />
            </dt>
            <dd lang="en">
              <Told text={each.detail} />
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Broker({ broker }: { broker: State["broker"] }) {
  return (
    <div>
      <h3>{t("ops.broker")}</h3>
      <dl class="facts">
        <div>
          <dt>{t("ops.addresses")}</dt>
          <dd>
            {broker.addresses.length === 0
              ? t("ops.addresses_unknown")
              : broker.addresses.map((text) => (
                  <div key={text}>
                    <Told text={text} code />
                  </div>
                ))}
          </dd>
        </div>
        <div>
          <dt>{t("ops.connected")}</dt>
          <dd>{t("ops.of", { part: number(broker.connected), whole: number(broker.workers) })}</dd>
        </div>
        <div>
          <dt>{t("ops.in_flight")}</dt>
          <dd>{number(broker.in_flight)}</dd>
        </div>
      </dl>
    </div>
  );
}

function Workers({ workers }: { workers: readonly Worker[] }) {
  if (workers.length === 0) return <p class="banner bad">{t("ops.no_workers")}</p>;
  return (
    <table class="cards">
      <caption>
        <h3>{t("ops.workers")}</h3>
      </caption>
      <thead>
        <tr>
          <th scope="col">{t("ops.slot")}</th>
          <th scope="col">{t("ops.state")}</th>
          <th scope="col">{t("ops.heartbeat")}</th>
          <th scope="col">{t("ops.in_flight")}</th>
          <th scope="col">{t("ops.runs_since")}</th>
          <th scope="col">{t("ops.process")}</th>
        </tr>
      </thead>
      <tbody>
        {workers.map((worker) => (
          <tr key={worker.slot}>
            <th scope="row">{number(worker.slot)}</th>
            <td data-label={t("ops.state")}>
              <span class={`badge ${!worker.alive ? "bad" : worker.connected ? "good" : "wait"}`}>
                {t(!worker.alive ? "ops.dead" : worker.connected ? "ops.works" : "ops.unconnected")}
              </span>
            </td>
            <td data-label={t("ops.heartbeat")}>{ago(worker.heartbeat_at)}</td>
            <td data-label={t("ops.in_flight")}>{number(worker.in_flight)}</td>
            <td data-label={t("ops.runs_since")}>
              <time dateTime={worker.started_at} title={moment(worker.started_at, "medium")}>
                {worker.alive ? duration((now.value - Date.parse(worker.started_at)) / 1000) : "–"}
              </time>
            </td>
            <td data-label={t("ops.process")}>
              <Told text={`${worker.pid} @ ${worker.host}`} code />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
