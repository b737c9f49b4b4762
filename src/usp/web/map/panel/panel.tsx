/** What stands beside the map: the overview, or what has been chosen. */

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../../common/i18n";
import { type Selection, selection } from "../choice";
import { Footer } from "../footer";
import { datasets, load, trouble } from "../store";
import { DevicePanel } from "./device";
import { Overview } from "./overview";
import { Waiting } from "./pieces";
import { SitePanel } from "./site";
import { back, moveFocus } from "./way";

function keyOf(chosen: Selection): string {
  if (chosen === null) return "";
  return "device" in chosen ? `device ${chosen.device}` : `site ${chosen.site}`;
}

/** The registry cannot be read; it is asked for again by itself as well. */
function Away() {
  const asking = useSignal(false);
  const again = async () => {
    asking.value = true;
    await load();
    asking.value = false;
  };
  return (
    <div class="trouble" role="alert">
      <p>{t("panel.registry_away")}</p>
      <button type="button" class="button" disabled={asking.value} onClick={again}>
        {t("panel.again")}
      </button>
    </div>
  );
}

function Chosen({ chosen }: { chosen: Exclude<Selection, null> }) {
  if (datasets.value.size === 0) return <Waiting lines={8} />;
  return "device" in chosen ? (
    <DevicePanel key={chosen.device} name={chosen.device} />
  ) : (
    <SitePanel key={chosen.site} name={chosen.site} />
  );
}

export function Panel() {
  const chosen = selection.value;
  const key = keyOf(chosen);
  const self = useRef<HTMLDivElement>(null);
  const shown = useRef(key);

  useLayoutEffect(() => {
    if (shown.current === key || self.current === null) return;
    shown.current = key;
    self.current.querySelector(".view:not([hidden])")?.scrollTo({ top: key === "" ? undefined : 0 });
    moveFocus(self.current);
  }, [key]);

  useEffect(() => {
    const close = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented || selection.peek() === null) return;
      event.preventDefault();
      back();
    };
    document.addEventListener("keydown", close);
    return () => document.removeEventListener("keydown", close);
  }, []);

  return (
    <div class="panel-inner" ref={self}>
      {trouble.value !== null && <Away />}
      <section class="view" hidden={chosen !== null} aria-labelledby="overview-title">
        <Overview />
        <Footer />
      </section>
      {chosen !== null && (
        <section class="view" aria-labelledby="panel-title">
          <Chosen chosen={chosen} />
          <Footer />
        </section>
      )}
    </div>
  );
}
