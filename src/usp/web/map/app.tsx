/** The page of the map: its head, the panel, the map. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { t } from "../common/i18n";
import { Canvas } from "./canvas/canvas";
import { selection } from "./choice";
import { Header } from "./header";
import { Panel } from "./panel/panel";
import { datasets, devices, sites } from "./store";

/** The name of the page follows what is open. */
function nameOfPage(): string {
  const chosen = selection.value;
  const page = t("page.title");
  if (chosen === null) return page;
  const read = datasets.value.size > 0;
  if ("device" in chosen) {
    const device = devices.value.get(chosen.device);
    if (device === undefined && read) return `${t("panel.missing_device")} · ${page}`;
    return `${device?.title ?? chosen.device} · ${page}`;
  }
  const site = sites.value.get(chosen.site);
  if (site === undefined && read) return `${t("panel.missing_site")} · ${page}`;
  return `${site?.title ?? chosen.site} · ${page}`;
}

function skip(event: Event): void {
  event.preventDefault();
  selection.value = null;
  requestAnimationFrame(() => document.getElementById("places")?.focus());
}

export function App() {
  /** On a phone: whether the sheet has most of the height. */
  const large = useSignal(false);
  useSignalEffect(() => {
    document.title = nameOfPage();
  });
  return (
    <div class={`page ${large.value ? "large" : ""}`}>
      <a class="skip button unseen" href="#places" onClick={skip}>
        {t("page.skip")}
      </a>
      <Header />
      <main class="main">
        <section class="panel" aria-label={t("page.panel")}>
          <button
            type="button"
            class="grip"
            aria-expanded={large.value}
            aria-label={t(large.value ? "page.smaller" : "page.larger")}
            onClick={() => {
              large.value = !large.value;
            }}
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d={large.value ? "M5 9l7 7 7-7" : "M5 15l7-7 7 7"} />
            </svg>
          </button>
          <Panel />
        </section>
        <section class="map-place" aria-label={t("page.map")}>
          <Canvas />
        </section>
      </main>
    </div>
  );
}
