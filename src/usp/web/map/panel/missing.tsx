/** What an address leads to that is not there. */

import { t } from "../../common/i18n";
import { selection } from "../choice";
import { Head } from "./head";

export function Missing({ what, name }: { what: "device" | "site"; name: string }) {
  return (
    <>
      <Head title={t(what === "device" ? "panel.missing_device" : "panel.missing_site")} />
      <div class="part">
        <p>{t(what === "device" ? "panel.missing_device_why" : "panel.missing_site_why", { name })}</p>
        <p>
          <button
            type="button"
            class="button main"
            onClick={() => {
              selection.value = null;
            }}
          >
            {t("panel.to_overview")}
          </button>
        </p>
      </div>
    </>
  );
}
