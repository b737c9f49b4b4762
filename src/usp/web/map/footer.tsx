/** Whose data it is, under which licence, and the ways out for those whose head of the page has no room for them. */

import { t } from "../common/i18n";
import { Ways } from "./header";
import { datasets } from "./store";

/** Where licences can be read, by their SPDX names. */
const TEXTS: Record<string, string> = {
  "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
  "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
  "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
  "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
};

function Licence({ name }: { name: string }) {
  const text = TEXTS[name];
  const words = name.replace(/^CC-(.*)-/, "CC $1 ");
  return text === undefined ? (
    <span>{words}</span>
  ) : (
    <a href={text} rel="license noopener" target="_blank">
      {words}
    </a>
  );
}

export function Footer() {
  const told = new Map<string, { attribution: string; licence: string }>();
  for (const { attribution, licence } of datasets.value.values()) {
    told.set(`${attribution} ${licence}`, { attribution, licence });
  }
  return (
    <footer class="foot">
      {[...told].map(([key, { attribution, licence }]) => (
        <p key={key}>
          {t("page.data", { attribution })} · <Licence name={licence} />
        </p>
      ))}
      <nav class="foot-ways" aria-label={t("page.ways")}>
        <Ways />
      </nav>
    </footer>
  );
}
