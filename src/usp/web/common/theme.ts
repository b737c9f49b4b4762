/** Light or dark: as the system is, until the reader chooses. */

import { computed, effect, signal } from "@preact/signals";
import { keep, kept } from "./kept";

type Choice = "system" | "light" | "dark";
const KEPT = "usp.theme";

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
system.addEventListener("change", () => {
  systemIsDark.value = system.matches;
});

const before = kept(KEPT);
export const choice = signal<Choice>(before === "light" || before === "dark" ? before : "system");
export const dark = computed(() => (choice.value === "system" ? systemIsDark.value : choice.value === "dark"));

effect(() => {
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
  keep(KEPT, choice.value);
});

/** Turn to the other one; back to the system's choice where that is the same. */
export function turn(): void {
  const wanted = dark.value ? "light" : "dark";
  choice.value = (wanted === "dark") === systemIsDark.value ? "system" : wanted;
}
