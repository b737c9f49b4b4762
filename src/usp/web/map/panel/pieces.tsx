/** The small pieces that panels are made of. */

import type { ComponentChildren } from "preact";
import type { Problem } from "../../common/api";
import { ago, duration, moment, now } from "../../common/format";
import { t } from "../../common/i18n";
import type { Answer } from "./answer";

/** A picture by its path data. */
export function Glyph({ path }: { path: string | undefined }) {
  return (
    <svg class="glyph" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path ?? ""} fill-rule="evenodd" />
    </svg>
  );
}

/** How long ago, with the moment itself for who wants to know. */
export function Age({ time }: { time: string | number }) {
  return (
    <time class="age" dateTime={new Date(time).toISOString()} title={moment(time, "medium")}>
      {ago(time)}
    </time>
  );
}

/** What keeps its place until what it stands for has come. */
export function Waiting({ lines = 1 }: { lines?: number }) {
  return (
    <div class="waiting">
      <span class="unseen">{t("panel.waiting")}</span>
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} class="bone" aria-hidden="true" />
      ))}
    </div>
  );
}

function inWords({ status, message }: Problem): string {
  if (status === 0) return t("panel.trouble_away");
  if (status === 429) return t("panel.trouble_often");
  if (status >= 500) return t("panel.trouble_busy");
  if (status === 404) return t("panel.trouble_gone");
  return t("panel.trouble_other", { detail: message });
}

/** Why an answer has not come, and a way to ask again. */
export function Trouble({ answer }: { answer: Answer<unknown> }) {
  const { problem, notBefore, asking, again } = answer;
  if (problem === null) return null;
  const wait = Math.ceil((notBefore - now.value) / 1000);
  return (
    <div class="trouble" role="status">
      <p>{inWords(problem)}</p>
      <button type="button" class="button" disabled={asking || wait > 0} onClick={again}>
        {wait > 0 ? t("panel.again_in", { duration: duration(wait) }) : t("panel.again")}
      </button>
    </div>
  );
}

/** A part of a panel with its heading. */
export function Part({ title, id, children }: { title: string; id: string; children: ComponentChildren }) {
  return (
    <section class="part" aria-labelledby={id}>
      <h3 id={id}>{title}</h3>
      {children}
    </section>
  );
}
