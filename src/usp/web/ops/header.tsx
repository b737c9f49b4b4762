/** The line that stays above: what this is, where everything is, how fresh it is, and the way back to the map. */

import { LanguageSwitch, ThemeSwitch } from "../common/controls";
import { ago, moment, number } from "../common/format";
import { type Key, t } from "../common/i18n";
import { session, signOut, typed } from "./session";
import { devicesOf } from "./verdict";
import { awaySaid, awaySince, candidates, ingest, refreshed, waiting } from "./watching";

export function Header() {
  return (
    <header class="top">
      <div class="row">
        <a class="brand" href="/">
          <img src="/web/icon.svg" alt="" width="30" height="30" />
          <span>{t("ops.to_map")}</span>
        </a>
        <div class="titles grow">
          <h1 id="title" tabIndex={-1}>
            {t("ops.title")}
          </h1>
          {session.value.state === "open" && <Freshness />}
        </div>
        <LanguageSwitch />
        <ThemeSwitch />
        {typed.value && (
          <button
            type="button"
            class="button bare sign-out"
            aria-label={t("ops.sign_out")}
            title={t("ops.sign_out")}
            onClick={signOut}
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="M10 4H5v16h5M14 8l4 4-4 4M18 12H9" />
            </svg>
          </button>
        )}
      </div>
      {session.value.state === "open" && <Sections />}
    </header>
  );
}

/** How old what is shown is. */
function Freshness() {
  const away = awaySince.value;
  const last = refreshed.value;
  return (
    <span class="freshness small quiet">
      <span class={`dot ${away !== null ? "bad" : last === null ? "none" : "good"}`} />
      {last === null ? t("ops.refreshing") : t("ops.refreshed", { ago: ago(last) })}
    </span>
  );
}

/** That the platform is away, for as long as it is. */
export function Away() {
  const since = awaySince.value;
  return (
    <div role="alert">
      {since !== null && (
        <p class="banner bad">
          {t("ops.away", { since: moment(since, "medium") })}{" "}
          {awaySaid.value !== "" && <span lang="en">{awaySaid.value}</span>}
        </p>
      )}
    </div>
  );
}

function Sections() {
  const figures = ingest.value.value;
  const counts: [string, Key, number][] = [
    ["glance", "ops.glance", 0],
    ["silent", "ops.silent", figures === null ? 0 : devicesOf(figures).silent],
    ["refused", "ops.refused", waiting.value],
    ["candidates", "ops.candidates", candidates.value.value?.data.length ?? 0],
    ["machine", "ops.machine", 0],
    ["database", "ops.database", 0],
  ];
  return (
    <nav aria-label={t("ops.sections")}>
      {counts.map(([id, title, count]) => (
        <a key={id} href={`#${id}`}>
          {t(title)}
          {count > 0 && <span class="badge wait">{number(count)}</span>}
        </a>
      ))}
    </nav>
  );
}
