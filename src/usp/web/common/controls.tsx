/** The two switches that both pages have: what language they speak, and whether they are light or dark. */

import "./controls.css";
import { LANGUAGES, type Language, language, speak, t } from "./i18n";
import { dark, turn } from "./theme";

export function LanguageSwitch() {
  return (
    <div class="switch" role="group" aria-label={t("language.label")}>
      {(Object.entries(LANGUAGES) as [Language, string][]).map(([each, name]) => (
        <button
          key={each}
          type="button"
          lang={each}
          aria-label={`${each.toUpperCase()}, ${name}`}
          aria-pressed={language.value === each}
          title={name}
          onClick={() => speak(each)}
        >
          {each.toUpperCase()}
        </button>
      ))}
    </div>
  );
}

const SUN =
  "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M4.9 4.9l1.8 1.8M17.3 17.3l1.8 1.8M4.9 19.1l1.8-1.8M17.3 6.7l1.8-1.8";
const MOON = "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z";

export function ThemeSwitch() {
  return (
    <button
      type="button"
      class="button bare theme-switch"
      aria-label={t("theme.dark")}
      aria-pressed={dark.value}
      title={t(dark.value ? "theme.to_light" : "theme.to_dark")}
      onClick={turn}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d={dark.value ? SUN : MOON} />
      </svg>
    </button>
  );
}
