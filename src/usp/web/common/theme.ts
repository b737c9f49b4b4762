/** Light or dark: as the system is, until the reader chooses. */

import { computed, effect, signal } from "@preact/signals";

export type Choice = "system" | "light" | "dark";
const KEPT = "usp.theme";

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
system.addEventListener("change", () => {
  systemIsDark.value = system.matches;
});

const kept = localStorage.getItem(KEPT);
export const choice = signal<Choice>(kept === "light" || kept === "dark" ? kept : "system");
export const dark = computed(() => (choice.value === "system" ? systemIsDark.value : choice.value === "dark"));

effect(() => {
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
  localStorage.setItem(KEPT, choice.value);
});

/** Turn to the other one; back to the system's choice where that is the same. */
export function turn(): void {
  const wanted = dark.value ? "light" : "dark";
  choice.value = (wanted === "dark") === systemIsDark.value ? "system" : wanted;
}
