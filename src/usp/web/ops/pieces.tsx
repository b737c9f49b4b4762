/** What several sections are made of. */

import type { ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Problem } from "../common/api";
import { number } from "../common/format";
import { named, t } from "../common/i18n";
import { isAway } from "./session";

interface SectionProps {
  id: string;
  title: string;
  /** A word or number beside the title. */
  aside?: ComponentChildren;
  problem?: ReadonlySignal<Problem | null>;
  children: ComponentChildren;
}

/** A section that an address (`#refused`) leads to. */
export function Section({ id, title, aside, problem, children }: SectionProps) {
  const wrong = problem?.value ?? null;
  return (
    <section id={id} aria-labelledby={`${id}-title`} class="card">
      <div class="row head">
        <h2 id={`${id}-title`} tabIndex={-1}>
          {title}
        </h2>
        {aside}
      </div>
      {wrong !== null && !isAway(wrong) && <Trouble problem={wrong} />}
      {children}
    </section>
  );
}

/** Go to a section, with the keyboard as well as with the eyes. */
export function goTo(id: string): void {
  const title = document.getElementById(`${id}-title`);
  document.getElementById(id)?.scrollIntoView();
  title?.focus({ preventScroll: true });
}

/** What the API had to say, which it says in English. */
export function Trouble({ problem }: { problem: Problem }) {
  return (
    <p class="banner bad" role="alert">
      {t("ops.trouble")}{" "}
      <span class="told" lang="en">
        {problem.message}
      </span>
    </p>
  );
}

/** Somebody else's words: never longer than their place, and never turning the words around them. */
export function Told({ text, code = false }: { text: string; code?: boolean }) {
  return code ? <code class="told">{text}</code> : <span class="told">{text}</span>;
}

/** Reasons and how often, as `3 × Unknown device, 1 × Wrong type of value`. */
export function reasonsText(refused: Record<string, number>): string {
  return Object.entries(refused)
    .map(([reason, count]) => `${number(count)} × ${named("reason", reason)}`)
    .join(", ");
}
