/** The search by street: an editable combobox with a list (ARIA Authoring Practices, "Combobox with list autocomplete"). */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../common/i18n";
import { selection } from "./choice";
import { type Found, find } from "./finding";
import { glyph } from "./look";
import { Glyph } from "./panel/pieces";
import { sort } from "./panel/words";
import { devices, sites } from "./store";

const LIST = "search-list";

const PIN = "M12 2a7 7 0 0 0-7 7c0 5 7 13 7 13s7-8 7-13a7 7 0 0 0-7-7m0 9.5a2.5 2.5 0 1 1 0-5 2.5 2.5 0 0 1 0 5";

/** What is said of a match beside its title. */
function about({ chosen }: Found): { picture: string; words: string } {
  if ("site" in chosen) {
    const site = sites.value.get(chosen.site);
    const words = site?.address === site?.title ? undefined : site?.address;
    return { picture: PIN, words: words ?? t("search.place", { devices: site?.devices ?? 0 }) };
  }
  const device = devices.value.get(chosen.device);
  if (device === undefined) return { picture: PIN, words: "" };
  return { picture: glyph({ kind: device.kind, category: device.category ?? null }), words: sort(device) };
}

function Option({ found, active, take }: { found: Found; active: boolean; take: (found: Found) => void }) {
  const { picture, words } = about(found);
  const self = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (active) self.current?.scrollIntoView({ block: "nearest" });
  }, [active]);
  return (
    // The field keeps the focus and has the keys, as the pattern wants it.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
    <div
      ref={self}
      id={`search-${found.key}`}
      role="option"
      aria-selected={active}
      class="option"
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => take(found)}
    >
      <Glyph path={picture} />
      <span class="option-title">{found.title}</span>
      <span class="option-about">{words}</span>
    </div>
  );
}

export function Search() {
  const text = useSignal("");
  const open = useSignal(false);
  const active = useSignal(-1);
  const matches = useComputed(() => find(text.value));
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const at = event.target as Element;
      const writing = at.closest("input, textarea, select, [contenteditable]") !== null;
      if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);

  const shut = () => {
    open.value = false;
    active.value = -1;
  };
  const take = (found: Found) => {
    text.value = "";
    shut();
    selection.value = found.chosen;
  };
  const step = (by: number) => {
    const count = matches.value.length;
    if (!open.value) open.value = true;
    // One place more than there are matches: the field itself, in which nothing is chosen.
    if (count > 0) active.value = ((active.value + 1 + by + count + 1) % (count + 1)) - 1;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const chosen = matches.value[Math.max(0, active.value)];
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else if (event.key === "Enter" && chosen !== undefined) take(chosen);
    else if (event.key === "Escape" && (open.value || text.value !== "")) {
      if (!open.value) text.value = "";
      shut();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const asked = open.value && text.value.trim() !== "";
  const showing = asked && matches.value.length > 0;
  const current = matches.value[active.value];

  return (
    <div class="search" role="search">
      <svg class="search-sign" viewBox="0 0 24 24" aria-hidden="true">
        <path d="M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M20 20l-4.8-4.8" />
      </svg>
      <input
        ref={field}
        class="field"
        type="text"
        role="combobox"
        aria-label={t("search.label")}
        aria-expanded={showing}
        aria-controls={LIST}
        aria-autocomplete="list"
        aria-activedescendant={showing && current !== undefined ? `search-${current.key}` : undefined}
        placeholder={t("search.label")}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        enterkeyhint="search"
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          active.value = -1;
          open.value = true;
        }}
        onKeyDown={onKeyDown}
        onBlur={shut}
      />
      <span class="search-key" aria-hidden="true">
        /
      </span>
      <div id={LIST} class="options" role="listbox" aria-label={t("search.found")} hidden={!showing}>
        {matches.value.map((found, at) => (
          <Option key={found.key} found={found} active={at === active.value} take={take} />
        ))}
      </div>
      {asked && !showing && <p class="options nothing">{t("search.nothing")}</p>}
      <p class="unseen" role="status">
        {asked ? t("search.count", { count: matches.value.length }) : ""}
      </p>
    </div>
  );
}
