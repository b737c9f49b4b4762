/** The chart of a device: which property, and how far back. */

import { useRef } from "preact/hooks";
import { now } from "../../common/format";
import { named, t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { Chart, type Drawn, drawn } from "../chart/chart";
import { type Buckets, type Plan, plan, question, WINDOWS } from "../chart/plan";
import { spanWord } from "../chart/words";
import { charted, coloured, type Span, span } from "../choice";
import { type Dataset, type Device, datasets, newest, type Property, told } from "../store";
import { type Answer, useAnswer } from "./answer";
import { alone } from "./calls";

export interface Charted {
  dataset: Dataset;
  property: Property;
  made: Plan;
  /** `dataset.property` */
  name: string;
}

const SPANS: readonly Span[] = ["24h", "7d", "30d"];
const FIRST: Record<string, string> = {
  parking_sensor: "parking.occupied",
  charging_point: "charging.status",
  energy_meter: "energy.active_power",
};

/** What can be drawn of a device: what it has ever told. */
export function drawable(device: Device): Charted[] {
  told.value;
  return device.datasets.flatMap((name) => {
    const dataset = datasets.value.get(name);
    const state = newest(device.device, name);
    const known = connection.value !== "waiting";
    return (dataset?.properties ?? [])
      .filter((property) => (state === undefined ? !known : property.name in state))
      .flatMap((property): Charted[] => {
        const made = plan(property);
        if (dataset === undefined || made === null) return [];
        return [{ dataset, property, made, name: `${name}.${property.name}` }];
      });
  });
}

/** What is drawn: as chosen, else what the device is there for. */
export function chosenOf(device: Device, offered: readonly Charted[]): Charted | undefined {
  const wishes = [charted.value, FIRST[device.kind], device.kind === "lamppost" ? coloured.value : null];
  for (const wish of wishes) {
    const found = offered.find(({ name }) => name === wish);
    if (found !== undefined) return found;
  }
  return offered[0];
}

/** The answer that is drawn, for the parts of the panel that tell of it. */
export function useHistory(device: Device, chosen: Charted): { answer: Answer<Buckets>; what: Drawn | null } {
  const asked = `${device.device} ${chosen.name} ${span.value}`;
  const url = () => question(chosen.dataset.name, alone(device), chosen.made, span.value, now.peek());
  const answer = useAnswer<Buckets>(asked, url, WINDOWS[span.value].every);
  const kept = useRef<{ data: Buckets | null; what: Drawn | null }>({ data: null, what: null });
  if (answer.data !== null && answer.of === asked && answer.data !== kept.current.data) {
    kept.current = { data: answer.data, what: drawn(chosen.property, chosen.made, answer.data, device.device) };
  }
  return { answer, what: kept.current.what };
}

export function History({
  offered,
  chosen,
  answer,
  what,
}: {
  offered: readonly Charted[];
  chosen: Charted;
  answer: Answer<Buckets>;
  what: Drawn | null;
}) {
  const groups = new Map<string, Charted[]>();
  for (const each of offered) groups.set(each.dataset.name, [...(groups.get(each.dataset.name) ?? []), each]);
  return (
    <section class="part" aria-labelledby="history-title">
      <div class="part-head">
        <h3 id="history-title">{t("chart.heading")}</h3>
        <div class="switch" role="group" aria-label={t("chart.span")}>
          {SPANS.map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={span.value === each}
              onClick={() => {
                span.value = each;
              }}
            >
              {spanWord(each)}
            </button>
          ))}
        </div>
      </div>
      {offered.length > 1 && (
        <select
          class="field wide"
          aria-label={t("chart.property")}
          value={chosen.name}
          onChange={(event) => {
            charted.value = event.currentTarget.value;
          }}
        >
          {[...groups].map(([dataset, properties]) => (
            <optgroup key={dataset} label={named("dataset", dataset)}>
              {properties.map(({ name, property }) => (
                <option key={name} value={name} selected={name === chosen.name}>
                  {named("property", property.name)}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      )}
      <Chart answer={answer} what={what} />
    </section>
  );
}
