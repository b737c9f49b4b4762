/** The head of a panel: the way back, what it is about, the way out. */

import type { ComponentChildren } from "preact";
import { t } from "../../common/i18n";
import { selection } from "../choice";
import { sites } from "../store";
import { back, cameFrom } from "./way";

export function Head({ title, children }: { title: string; children?: ComponentChildren }) {
  const from = cameFrom.value;
  const there = from === null ? t("panel.overview") : (sites.value.get(from)?.title ?? from);
  return (
    <header class="panel-head">
      <div class="panel-ways">
        <button type="button" class="link back" onClick={back}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M15 5l-7 7 7 7" />
          </svg>
          <span class="unseen">{t("panel.back_to")} </span>
          <span class="cut">{there}</span>
        </button>
        <button
          type="button"
          class="button bare close"
          aria-label={t("panel.close")}
          title={t("panel.close")}
          onClick={() => {
            selection.value = null;
          }}
        >
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M6 6l12 12M18 6L6 18" />
          </svg>
        </button>
      </div>
      <h2 id="panel-title" tabIndex={-1} title={title}>
        {title}
      </h2>
      {children}
    </header>
  );
}
