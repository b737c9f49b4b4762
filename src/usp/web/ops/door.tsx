/** Where somebody is asked for his token. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../common/i18n";
import { Header } from "./header";
import { type Session, session, signIn } from "./session";

/** How a token is made; the same in every language. */
const COMMAND = 'usp keys create "operations" --scope ops';

export function Door() {
  return (
    <>
      <Header />
      <main class="door">{session.value.state === "closed" ? <Form /> : <p class="quiet">{t("ops.entering")}</p>}</main>
    </>
  );
}

function Form() {
  const field = useRef<HTMLInputElement>(null);
  const text = useSignal("");
  const busy = useSignal(false);
  const told = session.value;
  const wrong = told.state === "closed" && told.why !== "none" && told.why !== "away";
  useEffect(() => {
    if (wrong) field.current?.focus();
  }, [wrong]);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (busy.value || text.value.trim() === "") return;
    busy.value = true;
    await signIn(text.value);
    busy.value = false;
    // What had the focus is gone once the page stands there.
    if (session.value.state === "open") requestAnimationFrame(() => document.getElementById("title")?.focus());
  }

  return (
    <form class="card" onSubmit={submit}>
      <h2>{t("ops.door.title")}</h2>
      <p>{t("ops.door.why")}</p>
      <label for="token">{t("ops.door.token")}</label>
      <input
        id="token"
        ref={field}
        class="field"
        type="password"
        autocomplete="off"
        spellcheck={false}
        aria-invalid={wrong}
        aria-describedby="token-said"
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
      />
      <div id="token-said" role="alert">
        {told.state === "closed" && <Said told={told} />}
      </div>
      <button type="submit" class="button main" aria-disabled={busy.value}>
        {t("ops.door.enter")}
      </button>
      <p class="small quiet">{t("ops.door.how")}</p>
      <pre class="box">{COMMAND}</pre>
    </form>
  );
}

/** What was wrong, and what would be right. */
function Said({ told }: { told: Extract<Session, { state: "closed" }> }) {
  if (told.why === "none") return null;
  return (
    <p class={told.why === "away" ? "banner wait" : "banner bad"}>
      {t(`ops.door.${told.why}`)}
      {told.why === "away" && told.detail !== "" && (
        <>
          {" "}
          <span class="told" lang="en">
            {told.detail}
          </span>
        </>
      )}
    </p>
  );
}
