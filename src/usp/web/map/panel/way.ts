/** Which way the reader came, and where the keyboard goes when he goes back. */

import { effect, signal } from "@preact/signals";
import { type Selection, selection } from "../choice";

/** The site whose list led to the device that is open. */
export const cameFrom = signal<string | null>(null);

/** What had the focus when a panel was opened over the overview. */
let opener: Element | null = null;
/** What was open before, if what is open now is the way back from it. */
let left: Selection = null;

let before: Selection = null;
effect(() => {
  const next = selection.value;
  if (next !== null && before === null) opener = document.activeElement;
  const from = cameFrom.peek();
  const returning = next === null || ("site" in next && next.site === from);
  left = returning ? before : null;
  const onwards = next !== null && "device" in next && before !== null && "device" in before;
  const listed = next !== null && "device" in next;
  if (!onwards) cameFrom.value = listed && before !== null && "site" in before ? before.site : null;
  before = next;
});

/** One step back: from a device to the list that led to it, from there to the overview. */
export function back(): void {
  selection.value = cameFrom.value === null ? null : { site: cameFrom.value };
}

/** The row of a list that opens a device or a site. */
export function rowOf(chosen: Exclude<Selection, null>): string {
  return "site" in chosen ? `site-${chosen.site}` : `device-${chosen.device}`;
}

/** Give the focus to what was opened, or back to what opened it. */
export function moveFocus(panel: HTMLElement): void {
  const row = left === null ? null : document.getElementById(rowOf(left));
  const heading = panel.querySelector<HTMLElement>(".view:not([hidden]) h2");
  if (selection.peek() === null && canTakeBack(opener)) opener.focus();
  else if (row?.checkVisibility()) row.focus();
  else heading?.focus({ preventScroll: true });
}

/** A field that a finger has left must not raise the keyboard again. */
function canTakeBack(element: Element | null): element is HTMLElement {
  if (!(element instanceof HTMLElement) || element === document.body || !element.checkVisibility()) return false;
  return !(element instanceof HTMLInputElement && matchMedia("(pointer: coarse)").matches);
}
