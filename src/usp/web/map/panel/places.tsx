/** All streets, areas and buildings by name: the way to everything for keyboards and screen readers. */

import { computed, useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { language, t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { categories, kinds, onlyFree, selection } from "../choice";
import { glyph } from "../look";
import { type Device, devices, type Site, sites } from "../store";
import { Glyph } from "./pieces";
import { DeviceRow } from "./rows";
import { counts, type Tally } from "./tally";
import { rowOf } from "./way";
import { inWords } from "./words";

const PAGE = 100;

const sorted = computed<readonly Site[]>(() => {
  const order = new Intl.Collator(language.value, { numeric: true });
  return [...sites.value.values()].sort((a, b) => order.compare(a.title ?? a.site, b.title ?? b.site));
});

/** What stands nowhere that has a name. */
const elsewhere = computed<readonly Device[]>(() => {
  const order = new Intl.Collator(language.value, { numeric: true });
  return [...devices.value.values()]
    .filter((device) => !sites.value.has(device.site ?? ""))
    .sort((a, b) => order.compare(a.title ?? a.device, b.title ?? b.device));
});

/** The kind of which a place has most. */
function principal(tally: Tally): string {
  if (tally.meters > 0) return "energy_meter";
  if (tally.points > 0) return "charging_point";
  return tally.bays + tally.noParking > 0 ? "parking_sensor" : "lamppost";
}

function Row({ site, tally }: { site: Site; tally: Tally }) {
  const known = connection.value !== "waiting";
  const spoken = language.value;
  const words = useMemo(() => inWords(tally), [tally, spoken]);
  return (
    <li>
      <button
        type="button"
        id={rowOf({ site: site.site })}
        class="place"
        onClick={() => {
          selection.value = { site: site.site };
        }}
      >
        <Glyph path={glyph({ kind: principal(tally), category: null })} />
        <span class="place-title">{site.title ?? site.site}</span>
        <span class="place-words">{known ? words : "…"}</span>
      </button>
    </li>
  );
}

function Elsewhere() {
  const open = useSignal(false);
  const many = useSignal(PAGE);
  const listed = elsewhere.value;
  if (listed.length === 0 || kinds.value.size > 0 || categories.value.size > 0) return null;
  return (
    <details
      class="elsewhere"
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary>{t("panel.elsewhere", { devices: listed.length })}</summary>
      <ul class="rows">
        {listed.slice(0, open.value ? many.value : 0).map((device) => (
          <DeviceRow key={device.device} device={device} />
        ))}
      </ul>
      {listed.length > many.value && (
        <button
          type="button"
          class="button"
          onClick={() => {
            many.value += PAGE;
          }}
        >
          {t("panel.more")}
        </button>
      )}
    </details>
  );
}

/** Whether a place has anything of what the filters leave. */
function fits(tally: Tally | undefined): tally is Tally {
  if (tally === undefined) return false;
  return !onlyFree.value || tally.free + tally.available > 0;
}

export function Places() {
  const counted = counts.value;
  const listed = sorted.value.filter((site) => fits(counted?.places.get(site.site)));
  const all = counted?.sites ?? 0;
  return (
    <section class="places" aria-labelledby="places">
      <h3 id="places" tabIndex={-1}>
        {t("panel.places")}{" "}
        <span class="count" role="status">
          {listed.length === all ? all : t("panel.some_of", { some: listed.length, all })}
        </span>
      </h3>
      {listed.length === 0 && counted !== null && <p class="quiet">{t("panel.no_places")}</p>}
      <ul class="rows">
        {listed.map((site) => (
          <Row key={site.site} site={site} tally={counted?.places.get(site.site) as Tally} />
        ))}
      </ul>
      <Elsewhere />
    </section>
  );
}
