/** The pages' words, all of `messages.json`, in the language that the reader chose or his browser prefers. */

import { effect, signal } from "@preact/signals";
import { IntlMessageFormat } from "intl-messageformat";
import { keep, kept } from "./kept";
import messages from "./messages.json";

export type Key = keyof typeof messages;
export type Language = keyof typeof LANGUAGES;
type Values = Record<string, string | number | Date>;

/** Each language's name for itself, which is how somebody looks for it. */
export const LANGUAGES = { en: "English", it: "Italiano" };
const KEPT = "usp.language";

function known(wish: string | null): Language | undefined {
  const code = wish?.toLowerCase().split("-")[0] ?? "";
  return Object.hasOwn(LANGUAGES, code) ? (code as Language) : undefined;
}

/** Whether the page's address says in which language it is to be. */
export function isAddressed(): boolean {
  return known(new URLSearchParams(location.search).get("lang")) !== undefined;
}

function initial(): Language {
  const wished = [new URLSearchParams(location.search).get("lang"), kept(KEPT), ...navigator.languages];
  return wished.map(known).find((found) => found !== undefined) ?? "en";
}

export const language = signal<Language>(initial());
effect(() => {
  document.documentElement.lang = language.value;
});

/** From now on speak this language, also at the next visit and where the address is opened again. */
export function speak(wanted: Language): void {
  keep(KEPT, wanted);
  if (isAddressed()) {
    const address = new URL(location.href);
    address.searchParams.set("lang", wanted);
    history.replaceState(null, "", address);
  }
  language.value = wanted;
}

const formats = new Map<string, IntlMessageFormat>();

/** A message in the reader's language, its `{placeholders}` filled (ICU MessageFormat). */
export function t(key: Key, values?: Values): string {
  const name = `${language.value} ${key}`;
  let format = formats.get(name);
  if (format === undefined) {
    format = new IntlMessageFormat(messages[key][language.value], language.value);
    formats.set(name, format);
  }
  return String(format.format(values));
}

/** The message of a name that the API tells, as `property.no2`; the name itself where there is none (yet). */
export function named(
  group: "category" | "dataset" | "flag" | "kind" | "property" | "reason" | "state" | "unit",
  name: string,
): string {
  const key = `${group}.${name}`;
  return key in messages ? t(key as Key) : name.replaceAll("_", " ");
}
