/** What of the city is shown: kinds, categories, only what is free; and what lampposts are coloured by. */

import { useComputed } from "@preact/signals";
import { number } from "../common/format";
import { named, t } from "../common/i18n";
import { categories, coloured, kinds, onlyFree, toggled } from "./choice";
import { colourings, glyph, type LegendEntry, legend } from "./look";
import { Glyph } from "./panel/pieces";
import { spots } from "./store";

/** In the order in which a city thinks of them. */
const ORDER = ["parking_sensor", "charging_point", "lamppost", "energy_meter", "indoor_sensor"];

interface Chip {
  name: string;
  kind: string;
  category: string | null;
  count: number;
}

/** The kinds that there are, with how many spots each has. */
function kindsThere(): Chip[] {
  const found = new Map<string, Chip>();
  for (const { kind } of spots.value) {
    const chip = found.get(kind) ?? { name: kind, kind, category: null, count: 0 };
    chip.count += 1;
    found.set(kind, chip);
  }
  return [...found.values()].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

/** The categories of the kinds that are shown. */
function categoriesThere(): Chip[] {
  const found = new Map<string, Chip>();
  for (const { kind, category } of spots.value) {
    if (category === null || (kinds.value.size > 0 && !kinds.value.has(kind))) continue;
    const chip = found.get(category) ?? { name: category, kind, category, count: 0 };
    chip.count += 1;
    found.set(category, chip);
  }
  return [...found.values()].sort(
    (a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || a.name.localeCompare(b.name),
  );
}

/** The kind as a heading of many. */
function many(kind: string): string {
  if (kind === "parking_sensor") return t("filter.bays");
  if (kind === "charging_point") return t("filter.points");
  if (kind === "lamppost") return t("filter.lamps");
  return kind === "energy_meter" ? t("filter.buildings") : named("kind", kind);
}

function Chips({ label, chips, signal }: { label: string; chips: Chip[]; signal: typeof kinds }) {
  return (
    <div class="chips" role="group" aria-label={label}>
      {chips.map(({ name, kind, category, count }) => (
        <button
          key={name}
          type="button"
          class="chip"
          aria-pressed={signal.value.has(name)}
          onClick={() => {
            signal.value = toggled(signal.value, name);
          }}
        >
          <Glyph path={glyph({ kind, category })} />
          {category === null ? many(kind) : named("category", name)} <span class="count">{number(count)}</span>
        </button>
      ))}
    </div>
  );
}

/** Leave nothing chosen. */
function chooseAll(): void {
  kinds.value = new Set();
  categories.value = new Set();
  onlyFree.value = false;
}

export function Filters() {
  const kindChips = useComputed(kindsThere);
  const categoryChips = useComputed(categoriesThere);
  const chosen = kinds.value.size > 0 || categories.value.size > 0 || onlyFree.value;
  return (
    <section class="filters" aria-labelledby="filters-title">
      <div class="filters-head">
        <h3 id="filters-title">{t("filter.title")}</h3>
        {chosen && (
          <button type="button" class="link" onClick={chooseAll}>
            {t("filter.all")}
          </button>
        )}
      </div>
      <Chips label={t("filter.kinds")} chips={kindChips.value} signal={kinds} />
      <Chips label={t("filter.categories")} chips={categoryChips.value} signal={categories} />
      <label class="switch-row">
        <input
          type="checkbox"
          role="switch"
          aria-checked={onlyFree.value}
          checked={onlyFree.value}
          onChange={(event) => {
            onlyFree.value = event.currentTarget.checked;
          }}
        />
        <span class="switch-knob" aria-hidden="true" />
        {t("filter.only_free")}
      </label>
    </section>
  );
}

/** By which property lampposts are coloured, and what the colours mean. */
export function Colouring() {
  const groups = new Map<string, string[]>();
  for (const name of colourings()) {
    const dataset = name.split(".")[0] ?? "";
    groups.set(dataset, [...(groups.get(dataset) ?? []), name]);
  }
  return (
    <section class="colouring" aria-labelledby="colouring-title">
      <h3 id="colouring-title">{t("filter.colouring")}</h3>
      <select
        class="field"
        aria-labelledby="colouring-title"
        value={coloured.value}
        onChange={(event) => {
          coloured.value = event.currentTarget.value;
        }}
      >
        {[...groups].map(([dataset, names]) => (
          <optgroup key={dataset} label={named("dataset", dataset)}>
            {names.map((name) => (
              <option key={name} value={name} selected={name === coloured.value}>
                {named("property", name.split(".")[1] ?? name)}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      <Legend kind="lamppost" label={t("filter.legend")} />
    </section>
  );
}

/** What colours and shapes on the map mean, of everything but lampposts, whose scale has been told. */
export function Signs() {
  const there = useComputed(() => kindsThere().filter(({ kind }) => kind !== "lamppost"));
  return (
    <details class="signs">
      <summary>{t("filter.signs")}</summary>
      {there.value.map(({ kind }) => (
        <div key={kind}>
          <p class="small">{many(kind)}</p>
          <Legend kind={kind} label={many(kind)} />
        </div>
      ))}
    </details>
  );
}

/** What the colours of a kind mean. */
function Legend({ kind, label }: { kind: string; label: string }) {
  const told = legend(kind);
  const entries: LegendEntry[] = Array.isArray(told) ? told : told.bands;
  const unit = Array.isArray(told) ? "" : named("unit", told.unit);
  const note = Array.isArray(told) ? null : told.note;
  return (
    <div class="legend">
      <ul aria-label={label}>
        {entries.map(({ fill, ring, word }) => (
          <li key={word}>
            <span
              class="swatch"
              style={{ background: fill, boxShadow: `inset 0 0 0 2px ${ring}` }}
              aria-hidden="true"
            />
            {word}
          </li>
        ))}
      </ul>
      {(unit !== "" || note !== null) && <p class="small quiet">{[unit, note].filter(Boolean).join(" · ")}</p>}
    </div>
  );
}
