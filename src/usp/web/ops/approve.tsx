/** The form by which a sender becomes a device. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { type Problem, post } from "../common/api";
import { type Key, named, t } from "../common/i18n";
import { Trouble } from "./pieces";
import { asProblem } from "./session";
import type { Approval, Candidate, Candidates } from "./shapes";
import { candidates, ingest, reasons, silent } from "./watching";

interface Props {
  candidate: Candidate;
  close: () => void;
  done: (outcome: Approval) => void;
}

const VISIBILITIES = ["open", "restricted", "ops"] as const;

export function ApprovalForm({ candidate, close, done }: Props) {
  const known = candidates.value.value;
  const form = useRef<HTMLFormElement>(null);
  const profile = useSignal(candidate.suggestions[0]?.profile ?? "");
  const busy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => form.current?.querySelector("select")?.focus(), []);
  if (known === null) return null;
  const kind = known.profiles.find((each) => each.profile === profile.value)?.kind;

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (busy.value || form.current === null) return;
    busy.value = true;
    problem.value = null;
    try {
      const outcome = await post<Approval>("/v1/ops/candidates/approve", {
        address: candidate.address,
        ...wishes(new FormData(form.current)),
      });
      await Promise.all([candidates, reasons, ingest, silent].map((source) => source.ask()));
      done(outcome);
    } catch (error) {
      problem.value = asProblem(error);
    }
    busy.value = false;
  }

  return (
    <form class="approval" ref={form} onSubmit={submit} aria-label={t("ops.approve_whom", { name: candidate.address })}>
      <Field label="ops.form.profile">
        {(id) => (
          <select
            id={id}
            class="field"
            name="profile"
            required
            value={profile.value}
            onChange={(event) => {
              profile.value = event.currentTarget.value;
            }}
          >
            <Profiles known={known} candidate={candidate} />
          </select>
        )}
      </Field>
      <Field label="ops.form.title">{(id) => <input id={id} class="field" name="title" maxLength={200} />}</Field>
      <Field label="ops.form.name" hint={t("ops.form.name_hint")}>
        {(id, hint) => (
          <input
            id={id}
            class="field"
            name="name"
            pattern="[a-z0-9][a-z0-9\-]{1,62}"
            aria-describedby={hint}
            spellcheck={false}
          />
        )}
      </Field>
      <Field label="ops.form.site">
        {(id) => (
          <select id={id} class="field" name="site">
            <option value="">{t("ops.form.no_site")}</option>
            {known.sites.map((site) => (
              <option key={site.site} value={site.site}>
                {site.title ?? site.site}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Kind known={known} kind={kind} />
      <Position />
      {problem.value !== null && <Trouble problem={problem.value} />}
      <div class="row">
        <button type="submit" class="button main" aria-disabled={busy.value}>
          {t(busy.value ? "ops.form.sending" : "ops.form.send")}
        </button>
        <button type="button" class="button" onClick={close}>
          {t("ops.form.cancel")}
        </button>
        <span class="small quiet grow" role="status">
          {busy.value && t("ops.form.wait")}
        </span>
      </div>
    </form>
  );
}

/** What has been filled in, each of the type that the API wants. */
function wishes(form: FormData): Record<string, string | number | boolean> {
  const told: Record<string, string | number | boolean> = {};
  for (const [name, value] of form) {
    const text = String(value).trim();
    if (text === "") continue;
    told[name] = name === "lon" || name === "lat" ? Number(text) : name === "approximate" ? true : text;
  }
  return told;
}

interface FieldProps {
  label: Key;
  hint?: string;
  children: (id: string, hint: string) => ComponentChildren;
}

function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  return (
    <div class="labelled">
      <label for={id}>{t(label)}</label>
      {children(id, `${id}-hint`)}
      {hint !== undefined && (
        <span id={`${id}-hint`} class="small quiet">
          {hint}
        </span>
      )}
    </div>
  );
}

/** Those that understand what it sends first, the best above all. */
function Profiles({ known, candidate }: { known: Candidates; candidate: Candidate }) {
  const title = (name: string) => known.profiles.find((each) => each.profile === name)?.title ?? name;
  const fitting = candidate.suggestions.map((each) => each.profile);
  const others = known.profiles.filter((each) => !fitting.includes(each.profile));
  return (
    <>
      {fitting.length === 0 && <option value="">{t("ops.form.choose")}</option>}
      {candidate.suggestions.length > 0 && (
        <optgroup label={t("ops.form.fitting")}>
          {candidate.suggestions.map((each) => (
            <option key={each.profile} value={each.profile}>
              {t("ops.form.fits", { title: title(each.profile), known: each.known, fields: each.fields })}
            </option>
          ))}
        </optgroup>
      )}
      <optgroup label={t("ops.form.others")}>
        {others.map((each) => (
          <option key={each.profile} value={each.profile}>
            {each.title}
          </option>
        ))}
      </optgroup>
    </>
  );
}

/** What the profile's kind of device offers. */
function Kind({ known, kind }: { known: Candidates; kind: string | undefined }) {
  const about = kind === undefined ? undefined : known.kinds[kind];
  if (kind === undefined || about === undefined) return null;
  return (
    <>
      {about.categories.length > 0 && (
        <Field label="ops.form.category">
          {(id) => (
            <select id={id} class="field" name="category" key={kind}>
              <option value="">{t("ops.form.no_category")}</option>
              {about.categories.map((category) => (
                <option key={category} value={category}>
                  {named("category", category)}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <Field label="ops.form.visibility">
        {(id) => (
          <select id={id} class="field" name="visibility">
            <option value="">{t("ops.form.usual", { kind: named("kind", kind) })}</option>
            {VISIBILITIES.map((visibility) => (
              <option key={visibility} value={visibility}>
                {t(`ops.form.${visibility}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
    </>
  );
}

function Position() {
  return (
    <details>
      <summary>{t("ops.form.position")}</summary>
      <p class="small quiet">{t("ops.form.position_hint")}</p>
      <div class="row">
        <Field label="ops.form.lat">
          {(id) => <input id={id} class="field" name="lat" type="number" step="any" min="-90" max="90" />}
        </Field>
        <Field label="ops.form.lon">
          {(id) => <input id={id} class="field" name="lon" type="number" step="any" min="-180" max="180" />}
        </Field>
        <label class="row">
          <input type="checkbox" name="approximate" value="true" /> {t("ops.form.approximate")}
        </label>
      </div>
    </details>
  );
}
