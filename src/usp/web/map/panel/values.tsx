/** Everything a device has last told, each value with its unit, its age and what is particular about it. */

import { named, t } from "../../common/i18n";
import { charted } from "../choice";
import { type Dataset, type Device, datasets, newest, type Property, told } from "../store";
import type { Charted } from "./history";
import { Age, Part } from "./pieces";
import { valueInWords } from "./words";

interface Told {
  property: Property;
  value: unknown;
  time: string;
  flags: string[];
}

/** What has been told in a dataset, in its own order; what belongs to no property is of all of them. */
function toldOf(device: Device, dataset: Dataset): { values: Told[]; flags: string[] } {
  const state = newest(device.device, dataset.name);
  if (state === undefined) return { values: [], flags: [] };
  const names = new Set(dataset.properties.map(({ name }) => name));
  const values = dataset.properties
    .filter(({ name }) => state[name] !== undefined && state[name] !== null)
    .map((property) => ({
      property,
      value: state[property.name],
      time: String(state[`${property.name}_time`] ?? state.time),
      flags: state.flags.filter((flag) => flag.startsWith(`${property.name}:`)).map((flag) => flag.split(":")[1] ?? ""),
    }));
  return { values, flags: state.flags.filter((flag) => !names.has(flag.split(":")[0] ?? "")) };
}

function Flag({ name }: { name: string }) {
  return <span class={`badge ${name === "out_of_range" ? "bad" : "wait"}`}>{named("flag", name)}</span>;
}

function Value({ told, name, drawable, chosen }: { told: Told; name: string; drawable: boolean; chosen: boolean }) {
  const { property, value, time, flags } = told;
  const title = named("property", property.name);
  return (
    <tr class={chosen ? "chosen" : ""}>
      <th scope="row">
        {drawable ? (
          <button
            type="button"
            class="link"
            aria-pressed={chosen}
            title={t("panel.draw", { property: title })}
            onClick={() => {
              charted.value = name;
              document.getElementById("history-title")?.scrollIntoView({ block: "nearest" });
            }}
          >
            {title}
          </button>
        ) : (
          title
        )}
      </th>
      <td class="number">
        {flags.map((flag) => (
          <Flag key={flag} name={flag} />
        ))}{" "}
        <span class="value">{valueInWords(value, property)}</span>
      </td>
      <td class="number">
        <Age time={time} />
      </td>
    </tr>
  );
}

export function Values({ device, offered, chosen }: { device: Device; offered: readonly Charted[]; chosen: string }) {
  told.value;
  const groups = device.datasets
    .map((name) => datasets.value.get(name))
    .filter((dataset) => dataset !== undefined)
    .map((dataset) => ({ dataset, ...toldOf(device, dataset) }))
    .filter(({ values }) => values.length > 0);
  return (
    <Part id="values-title" title={t("panel.values")}>
      {groups.length === 0 && <p class="quiet">{t("panel.no_values")}</p>}
      {groups.map(({ dataset, values, flags }) => (
        <table key={dataset.name} class="values">
          <caption class={groups.length === 1 && flags.length === 0 ? "unseen" : ""}>
            {named("dataset", dataset.name)}{" "}
            {flags.map((flag) => (
              <Flag key={flag} name={flag} />
            ))}
          </caption>
          <thead class="unseen">
            <tr>
              <th scope="col">{t("panel.property")}</th>
              <th scope="col">{t("panel.value")}</th>
              <th scope="col">{t("panel.measured")}</th>
            </tr>
          </thead>
          <tbody>
            {values.map((told) => {
              const name = `${dataset.name}.${told.property.name}`;
              const known = offered.some((each) => each.name === name);
              return <Value key={name} told={told} name={name} drawable={known} chosen={name === chosen} />;
            })}
          </tbody>
        </table>
      ))}
    </Part>
  );
}
