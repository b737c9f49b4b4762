/** The very calls of the open data API behind what is shown: to open, to copy, to download. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address } from "../../common/api";
import { number } from "../../common/format";
import { named, t } from "../../common/i18n";
import { coloured } from "../choice";
import { type Device, datasets, devices } from "../store";

interface Call {
  title: string;
  url: string;
  /** Under which name it is kept, if it is a file. */
  file?: string;
}

/** Files hold all there is; what comes in pages is its first. */
const FILES = { csv: "CSV", parquet: "Parquet", ndjson: "NDJSON" };
const PAGES = { json: "JSON", geojson: "GeoJSON" };
const PAGE = 1_000;
/** As many as the page itself asks for. */
const MOST = 10_000;
const TOLD_MS = 2_000;

/** How a question selects this device alone: where it has parts, these come along unless its category is named. */
export function alone(device: Device): { device: string; category?: string | undefined } {
  const whole = [...devices.value.values()].some((each) => each.parent === device.device);
  return { device: device.device, category: whole ? device.category : undefined };
}

/** Everything about a device in one dataset, with readings since a time (RFC 3339). */
export function deviceCalls(device: Device, dataset: string, chart: string | null, from: string): Call[] {
  const one = alone(device);
  const about = named("dataset", dataset);
  const calls: Call[] = [
    { title: t("panel.call_latest", { about }), url: address(`/v1/datasets/${dataset}/latest`, one) },
  ];
  if (chart !== null) calls.push({ title: t("panel.call_chart"), url: chart });
  for (const [format, name] of Object.entries({ ...FILES, ...PAGES })) {
    calls.push({
      title:
        format in FILES
          ? t("panel.call_readings", { format: name })
          : t("panel.call_page", { format: name, rows: number(PAGE) }),
      url: address(`/v1/datasets/${dataset}/readings`, { ...one, from, format }),
      file: `${device.device}-${dataset}.${format}`,
    });
  }
  calls.push({ title: t("panel.call_quality"), url: address(`/v1/devices/${device.device}/quality`) });
  calls.push({ title: t("panel.call_stream"), url: address("/v1/stream", { dataset, ...one }) });
  return calls;
}

/** What has gone through the meters of a site since the beginning of a day (YYYY-MM-DD). */
export function energyOf(site: string, day: string): string {
  const properties = "energy_import,energy_export";
  return address("/v1/datasets/energy/readings", { site, bucket: "1d", from: day, properties });
}

/** What is asked for the whole city: what is registered, the newest values that are counted, and what comes next. */
export function cityCalls(): Call[] {
  const [colouring = "", property = ""] = coloured.value.split(".", 2);
  const told = ["parking", "charging", "energy"].filter((dataset) => datasets.value.has(dataset));
  const latest = (dataset: string, about: string, properties?: string) => ({
    title: t("panel.call_latest", { about }),
    url: address(`/v1/datasets/${dataset}/latest`, { properties, limit: MOST }),
  });
  return [
    ...told.map((dataset) => latest(dataset, named("dataset", dataset))),
    ...(datasets.value.has(colouring) ? [latest(colouring, named("property", property), property)] : []),
    { title: t("panel.call_devices"), url: address("/v1/devices", { limit: MOST }) },
    { title: t("panel.call_sites"), url: address("/v1/sites", { limit: MOST }) },
    { title: t("panel.call_stream"), url: address("/v1/stream") },
  ];
}

/** The newest values of a site, its devices, what its meters have told of today, and its stream. */
export function siteCalls(site: string, listed: readonly Device[], energy: string | null): Call[] {
  const told = [...new Set(listed.flatMap((device) => device.datasets))];
  return [
    { title: t("panel.call_devices"), url: address("/v1/devices", { site }) },
    ...told.map((dataset) => ({
      title: t("panel.call_latest", { about: named("dataset", dataset) }),
      url: address(`/v1/datasets/${dataset}/latest`, { site }),
    })),
    ...(energy === null ? [] : [{ title: t("panel.call_today"), url: energy }]),
    { title: t("panel.call_stream"), url: address("/v1/stream", { site }) },
  ];
}

/** Put a text where it can be pasted from; pages that came without encryption have no clipboard, but selections. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function Row({ call }: { call: Call }) {
  const copied = useSignal(false);
  useEffect(() => {
    if (!copied.value) return;
    const timer = setTimeout(() => {
      copied.value = false;
    }, TOLD_MS);
    return () => clearTimeout(timer);
  }, [copied.value, copied]);
  const { title, url, file } = call;
  return (
    <li class="call">
      <a href={url} {...(file === undefined ? { target: "_blank", rel: "noopener" } : { download: file })}>
        {title}
      </a>
      <button
        type="button"
        class="link"
        aria-label={t("panel.copy_of", { title })}
        onClick={async () => {
          await copy(location.origin + url);
          copied.value = true;
        }}
      >
        {copied.value ? t("panel.copied") : t("panel.copy")}
      </button>
      <code title={url}>{url}</code>
    </li>
  );
}

export function Calls({ calls }: { calls: readonly Call[] }) {
  return (
    <ul class="calls">
      {calls.map((call) => (
        <Row key={call.title} call={call} />
      ))}
    </ul>
  );
}
