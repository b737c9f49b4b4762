/** The head of the page: its name, whether it is live, the search, and the ways out of it. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { LanguageSwitch, ThemeSwitch } from "../common/controls";
import { language, t } from "../common/i18n";
import { connection, cutAt } from "../common/stream";
import { Search } from "./search";

/** Whether what is shown is what is now. */
function Live() {
  const since = useSignal<number | null>(null);
  useSignalEffect(() => {
    if (connection.value === "away") since.value ??= cutAt.value;
    else since.value = null;
  });
  if (connection.value === "live") return <Badge tone="good" words={t("page.live")} />;
  if (connection.value === "waiting" || since.value === null) return <Badge tone="wait" words={t("page.connecting")} />;
  const time = new Intl.DateTimeFormat(language.value, { timeStyle: "short", hourCycle: "h23" }).format(since.value);
  return <Badge tone="bad" words={t("page.away", { time })} />;
}

function Badge({ tone, words }: { tone: string; words: string }) {
  return (
    <p class={`badge live ${tone}`} role="status">
      {words}
    </p>
  );
}

/** Out of the frame in which a city may show the map: the operators' page lets itself be framed by nobody. */
export function Ways() {
  return (
    <>
      <a href="/docs" target="_top">
        {t("page.docs")}
      </a>
      <a href="/ops" target="_top">
        {t("page.ops")}
      </a>
    </>
  );
}

export function Header() {
  return (
    <header class="head">
      <div class="name">
        <img src={`${import.meta.env.BASE_URL}icon.svg`} alt="" width="32" height="32" />
        <h1>{t("page.title")}</h1>
        <Live />
      </div>
      <Search />
      <nav class="ways" aria-label={t("page.ways")}>
        <Ways />
      </nav>
      <div class="controls">
        <LanguageSwitch />
        <ThemeSwitch />
      </div>
    </header>
  );
}
