/** The pages' words, all of `messages.json`, in the language that the reader chose or his browser prefers. */

import { effect, signal } from "@preact/signals";
import { IntlMessageFormat } from "intl-messageformat";
import messages from "./messages.json";

export type Key = keyof typeof messages;
export type Language = "en" | "it";
type Values = Record<string, string | number | Date>;

export const LANGUAGES: readonly Language[] = ["en", "it"];
const KEPT = "usp.language";

function initial(): Language {
  const wished = [new URLSearchParams(location.search).get("lang"), localStorage.getItem(KEPT), ...navigator.languages];
  for (const wish of wished) {
    const found = LANGUAGES.find((language) => wish?.toLowerCase().split("-")[0] === language);
    if (found !== undefined) return found;
  }
  return "en";
}

export const language = signal<Language>(initial());
effect(() => {
  document.documentElement.lang = language.value;
});

/** From now on speak this language, also at the next visit. */
export function speak(wanted: Language): void {
  localStorage.setItem(KEPT, wanted);
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
