/** A street, an area or a building: what stands there. */

import { t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { type Device, devices, sites, told } from "../store";
import { useAnswer } from "./answer";
import { Calls, energyOf, siteCalls } from "./calls";
import { Head } from "./head";
import { Missing } from "./missing";
import { Part, Trouble } from "./pieces";
import { DeviceRow } from "./rows";
import { tallyOf } from "./tally";
import { inWords, withUnit } from "./words";

const KINDS = ["energy_meter", "indoor_sensor", "lamppost", "charging_point", "parking_sensor"];
const CATEGORIES = ["main", "common", "photovoltaic"];
const TODAY_EVERY_S = 300;
/** Days are those of the platform's clock (contract: buckets from a day up). */
const ZONE = "Europe/Rome";

interface Today {
  data: { device: string; energy_import_increase?: number; energy_export_increase?: number }[];
}

/** By kind, meters of the whole before meters of parts, then by title. */
function inOrder(listed: Device[]): Device[] {
  const order = new Intl.Collator(undefined, { numeric: true });
  const place = (names: string[], name = "") => (names.includes(name) ? names.indexOf(name) : names.length);
  return listed.sort(
    (a, b) =>
      place(KINDS, a.kind) - place(KINDS, b.kind) ||
      place(CATEGORIES, a.category) - place(CATEGORIES, b.category) ||
      order.compare(a.title ?? a.device, b.title ?? b.device),
  );
}

/** The day it is by the platform's clock. */
function today(): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: ZONE }).format(new Date());
}

/** Meters with what has gone through them since midnight. */
function Meters({ site, listed }: { site: string; listed: Device[] }) {
  const answer = useAnswer<Today>(site, () => energyOf(site, today()), TODAY_EVERY_S);
  const energies = (device: string) => {
    const row = answer.data?.data.findLast((each) => each.device === device);
    const { energy_import_increase: drawn = 0, energy_export_increase: fed = 0 } = row ?? {};
    if (row === undefined) return undefined;
    const words = [drawn >= 0.5 || fed < 0.5 ? t("panel.drawn_today", { energy: withUnit(drawn, "kWh") }) : ""];
    if (fed >= 0.5) words.push(t("panel.fed_today", { energy: withUnit(fed, "kWh") }));
    return words.filter(Boolean).join(" · ");
  };
  return (
    <>
      <Rows listed={listed} more={energies} />
      <Trouble answer={answer} />
    </>
  );
}

function Rows({ listed, more }: { listed: Device[]; more?: (device: string) => string | undefined }) {
  return (
    <ul class="rows">
      {listed.map((device) => (
        <DeviceRow key={device.device} device={device} more={more?.(device.device)} />
      ))}
    </ul>
  );
}

export function SitePanel({ name }: { name: string }) {
  told.value;
  const site = sites.value.get(name);
  const listed = inOrder([...devices.value.values()].filter((device) => device.site === name));
  if (site === undefined) return <Missing what="site" name={name} />;
  const meters = listed.filter((device) => device.kind === "energy_meter");
  const others = listed.filter((device) => device.kind !== "energy_meter");
  const title = site.title ?? site.site;
  return (
    <>
      <Head title={title}>
        <p class="quiet">
          {[site.address === title ? null : site.address, site.approximate ? t("panel.approximate") : null]
            .filter(Boolean)
            .join(" · ")}
        </p>
        <p class="site-words">{connection.value === "waiting" ? "…" : inWords(tallyOf(listed))}</p>
      </Head>
      <Part id="site-devices" title={t("panel.devices", { devices: listed.length })}>
        {meters.length > 0 && <Meters site={name} listed={meters} />}
        {others.length > 0 && <Rows listed={others} />}
        {listed.length === 0 && <p class="quiet">{t("panel.no_devices")}</p>}
      </Part>
      <Part id="site-data" title={t("panel.data")}>
        <Calls calls={siteCalls(name, listed, meters.length > 0 ? energyOf(name, today()) : null)} />
      </Part>
    </>
  );
}
