/** A device: how it is now, its past as a chart, its newest values, their quality, and the same from the API. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { now } from "../../common/format";
import { named, t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { beginning } from "../chart/plan";
import { coloured, selection, span } from "../choice";
import { look, quantity } from "../look";
import { type Device, devices, heard, newest, sites, told } from "../store";
import { Calls, deviceCalls } from "./calls";
import { Head } from "./head";
import { type Charted, chosenOf, drawable, History, useHistory } from "./history";
import { Missing } from "./missing";
import { Age, Part } from "./pieces";
import { QualityPart } from "./quality";
import { Disc, spotOf } from "./rows";
import { Values } from "./values";
import { sort } from "./words";

/** What the large words are of, where they do not say so themselves. */
function subject(device: Device): string | null {
  if (device.kind === "lamppost") return named("property", coloured.value.split(".")[1] ?? "");
  if (device.kind !== "energy_meter") return null;
  return device.category === "photovoltaic" ? t("panel.yields") : named("property", "active_power");
}

/** The state in large words, and aloud when it changes. */
function State({ device }: { device: Device }) {
  told.value;
  const spoken = useSignal("");
  const before = useRef<string | null>(null);
  const looks = look(spotOf(device));
  const last = heard(device.device);
  const word = stateWord(device, looks.word, looks.silent);
  const waiting = last === null && connection.value === "waiting";
  useEffect(() => {
    if (waiting) return;
    if (before.current !== null && before.current !== word) {
      spoken.value = t("panel.now_is", { title: device.title ?? device.device, word });
    }
    before.current = word;
  }, [word, waiting, device, spoken]);
  const about = subject(device);
  return (
    <div class={`state ${looks.tone}`}>
      <Disc looks={looks} />
      <p>
        <strong>{waiting ? "…" : word}</strong>
        <span class="quiet small">
          {about !== null && !looks.silent && `${about} · `}
          {last === null ? t("panel.never_heard") : <Age time={last} />}
        </span>
      </p>
      <p class="unseen" aria-live="polite">
        {spoken.value}
      </p>
    </div>
  );
}

function stateWord(device: Device, word: string, silent: boolean): string {
  const power = newest(device.device, "energy")?.active_power;
  if (silent || device.category !== "photovoltaic" || typeof power !== "number") return word;
  return quantity(Math.max(0, -power), "W");
}

function Where({ device }: { device: Device }) {
  const site = sites.value.get(device.site ?? "");
  return (
    <p class="where">
      <span>{sort(device)}</span>
      {site !== undefined && (
        <button
          type="button"
          class="link"
          onClick={() => {
            selection.value = { site: site.site };
          }}
        >
          {site.title ?? site.site}
        </button>
      )}
      {device.approximate && <span class="badge">{t("panel.approximate")}</span>}
    </p>
  );
}

function Drawn({ device, offered, chosen }: { device: Device; offered: readonly Charted[]; chosen: Charted }) {
  const { answer, what } = useHistory(device, chosen);
  const from = beginning(span.value, now.peek());
  return (
    <>
      <History offered={offered} chosen={chosen} answer={answer} what={what} />
      <Values device={device} offered={offered} chosen={chosen.name} />
      <QualityPart device={device} />
      <Part id="data-title" title={t("panel.data")}>
        <p class="small quiet">{t("panel.data_about", { dataset: named("dataset", chosen.dataset.name) })}</p>
        <Calls calls={deviceCalls(device, chosen.dataset.name, answer.url, from)} />
      </Part>
    </>
  );
}

export function DevicePanel({ name }: { name: string }) {
  const device = devices.value.get(name);
  if (device === undefined) return <Missing what="device" name={name} />;
  const offered = drawable(device);
  const chosen = chosenOf(device, offered);
  return (
    <>
      <Head title={device.title ?? device.device}>
        <Where device={device} />
        <State device={device} />
      </Head>
      {chosen === undefined ? (
        <>
          <Values device={device} offered={offered} chosen="" />
          <QualityPart device={device} />
        </>
      ) : (
        <Drawn device={device} offered={offered} chosen={chosen} />
      )}
    </>
  );
}
