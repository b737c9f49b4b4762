/** Who sends without being registered, and registering him. */

import { signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ago, number } from "../common/format";
import { named, t } from "../common/i18n";
import { ApprovalForm } from "./approve";
import { goTo, reasonsText, Section, Told } from "./pieces";
import type { Approval, Candidate } from "./shapes";
import { candidates } from "./watching";

/** Fields shown before somebody asks for all. */
const SHOWN_FIELDS = 8;
/** What became of the approvals of this visit, the newest first. */
const approved = signal<readonly Approval[]>([]);

export function CandidatesSection() {
  const found = candidates.value.value;
  return (
    <Section
      id="candidates"
      title={t("ops.candidates")}
      aside={!!found?.data.length && <span class="badge wait">{number(found.data.length)}</span>}
      problem={candidates.problem}
    >
      <div role="status">
        {approved.value.map((done) => (
          <Outcome key={done.device} done={done} />
        ))}
      </div>
      {found?.data.length === 0 && <p class="quiet">{t("ops.candidates_none")}</p>}
      <ul class="candidates">
        {found?.data.map((each) => (
          <One key={`${each.network} ${each.address}`} candidate={each} />
        ))}
      </ul>
    </Section>
  );
}

function One({ candidate }: { candidate: Candidate }) {
  const open = useSignal(false);
  const button = useRef<HTMLButtonElement>(null);
  const title = candidate.name || candidate.address;
  return (
    <li>
      <div class="row">
        <h3 class="grow">
          <Told text={title} />
        </h3>
        <span class="badge wait">{t("ops.wait", { count: candidate.waiting })}</span>
        <button
          type="button"
          ref={button}
          class="button"
          aria-expanded={open.value}
          aria-label={t("ops.approve_whom", { name: title })}
          onClick={() => {
            open.value = !open.value;
          }}
        >
          {t("ops.approve")}
        </button>
      </div>
      <About candidate={candidate} />
      <Sample candidate={candidate} />
      {open.value && (
        <ApprovalForm
          candidate={candidate}
          close={() => {
            open.value = false;
            button.current?.focus();
          }}
          done={(outcome) => {
            approved.value = [outcome, ...approved.value.filter((before) => before.device !== outcome.device)];
            open.value = false;
            goTo("candidates");
          }}
        />
      )}
    </li>
  );
}

function About({ candidate }: { candidate: Candidate }) {
  const told: [string, string | null][] = [
    [t("ops.address"), candidate.address],
    [t("ops.model"), candidate.model],
    [t("ops.application"), candidate.application],
    [t("ops.door_name"), candidate.doors.join(", ")],
    [t("ops.last_heard"), ago(candidate.last_at)],
    [t("ops.part_of"), candidate.parent],
    ...Object.entries(candidate.tags ?? {}).map(([name, value]): [string, string] => [name, String(value)]),
  ];
  return (
    <>
      <dl class="facts small">
        {told
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name}>
              <dt>
                <Told text={name} />
              </dt>
              <dd>
                <Told text={value ?? ""} />
              </dd>
            </div>
          ))}
      </dl>
      {candidate.registered_as !== null && (
        <p class="small">{t("ops.registered_as", { device: candidate.registered_as })}</p>
      )}
      {candidate.not_kept > 0 && <p class="small quiet">{t("ops.beyond", { count: candidate.not_kept })}</p>}
    </>
  );
}

/** The newest of what it says, or the bytes that nobody could read. */
function Sample({ candidate }: { candidate: Candidate }) {
  if (candidate.fields === null)
    return candidate.payload === null ? null : (
      <p class="small">
        <span class="quiet">{t("ops.bytes", { port: String(candidate.port ?? "–") })} </span>
        <Told text={candidate.payload} code />
      </p>
    );
  const fields = Object.entries(candidate.fields);
  return (
    <>
      <Fields fields={fields.slice(0, SHOWN_FIELDS)} />
      {fields.length > SHOWN_FIELDS && (
        <details>
          <summary class="small">{t("ops.more_fields", { count: fields.length - SHOWN_FIELDS })}</summary>
          <Fields fields={fields.slice(SHOWN_FIELDS)} />
        </details>
      )}
    </>
  );
}

function Fields({ fields }: { fields: [string, unknown][] }) {
  return (
    <ul class="fields">
      {fields.map(([name, value]) => (
        <li key={name}>
          <Told text={`${name} = ${typeof value === "string" ? value : JSON.stringify(value)}`} code />
        </li>
      ))}
    </ul>
  );
}

function Outcome({ done }: { done: Approval }) {
  const refused = Object.values(done.refused).reduce((sum, count) => sum + count, 0);
  return (
    <div class={`banner ${refused + done.left > 0 ? "wait" : "good"}`}>
      <p>
        {t(done.was_there ? "ops.approved_again" : "ops.approved", {
          device: done.title ?? done.device,
          kind: named("kind", done.kind),
          resolved: done.resolved,
        })}{" "}
        <a href={`/?device=${encodeURIComponent(done.device)}`}>{t("ops.on_map")}</a>
      </p>
      {refused > 0 && <p class="small">{t("ops.refused_again", { reasons: reasonsText(done.refused) })}</p>}
      {done.left > 0 && <p class="small">{t("ops.left", { count: done.left })}</p>}
      {done.not_kept > 0 && <p class="small">{t("ops.beyond", { count: done.not_kept })}</p>}
    </div>
  );
}
