/** The chart of a device's property over the last day, week or month, with the same numbers as a table. */

import "uplot/dist/uPlot.min.css";
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { now } from "../../common/format";
import { language, named, t } from "../../common/i18n";
import { dark } from "../../common/theme";
import { span } from "../choice";
import type { Answer } from "../panel/answer";
import { Trouble } from "../panel/pieces";
import type { Property } from "../store";
import { type Bucket, type Buckets, buckets, type Plan } from "./plan";
import { columns, options } from "./plot";
import { axisOf, bucketTime, coloursOf, inWords, lastWord, shares, stateWord, summary, told } from "./words";

const HEIGHT = 210;

/** What is drawn: it comes from one answer, whatever has been asked for since. */
export interface Drawn {
  property: Property;
  made: Plan;
  list: Bucket[];
  /** The window, in ms since 1970. */
  from: number;
  to: number;
}

/** What an answer lets be drawn. */
export function drawn(property: Property, made: Plan, answer: Buckets, device: string): Drawn {
  const list = buckets(answer, device, made, now.peek());
  return { property, made, list, from: new Date(answer.from).getTime(), to: new Date(answer.to).getTime() };
}

interface Pointed {
  at: number;
  left: number;
}

function Plot({ what, pointed }: { what: Drawn; pointed: Signal<Pointed | null> }) {
  const place = useRef<HTMLDivElement>(null);
  const [isDark, spoken] = [dark.value, language.value];
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const { property, made, list, from, to } = what;
    const plot = new uPlot(
      options(
        {
          made,
          from,
          to,
          colours: coloursOf(property, made),
          axis: axisOf(property, made, list),
          unit: property.unit ?? "",
          width: element.clientWidth,
          height: HEIGHT,
          point: (at, left) => {
            pointed.value = at === null ? null : { at, left };
          },
        },
        uPlot,
      ),
      columns(made, list),
      element,
    );
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
      pointed.value = null;
    };
  }, [what, isDark, spoken]);
  return <div ref={place} class="plot" aria-hidden="true" />;
}

/** What the pointer is on. */
function Tip({ what, pointed }: { what: Drawn; pointed: Signal<Pointed | null> }) {
  const at = pointed.value;
  const bucket = at === null ? undefined : what.list[at.at];
  if (at === null || bucket === undefined) return null;
  const { value, more } = inWords(what.property, what.made, bucket);
  return (
    <div class="tip" style={{ "--at": `${at.left}px` }} aria-hidden="true">
      <strong>{value}</strong>
      {more.map((each) => (
        <span key={each}>{each}</span>
      ))}
      <span class="quiet">{bucketTime(bucket)}</span>
    </div>
  );
}

/** Which colour is which state, where there is more than one. */
function States({ what: { property, made, list } }: { what: Drawn }) {
  dark.value;
  if (made.states.length < 2) return null;
  const { states } = coloursOf(property, made);
  return (
    <ul class="states" aria-hidden="true">
      {shares(made, list).map(({ at }) => (
        <li key={at}>
          <span class="swatch" style={{ background: states[at] }} />
          {stateWord(property, made.states[at] ?? "")}
        </li>
      ))}
    </ul>
  );
}

function heads({ property, made, list }: Drawn): { at: number; word: string }[] {
  if (made.shape === "states") {
    const occurring = made.states.length === 1 ? [{ at: 0 }] : shares(made, list);
    return occurring.map(({ at }) => ({ at, word: stateWord(property, made.states[at] ?? "") }));
  }
  const [value, ...edges] =
    made.columns.length === 3
      ? [t("chart.mean"), t("chart.least"), t("chart.most")]
      : [named("property", property.name)];
  return [value, ...edges].map((word, at) => ({ at, word: word ?? "" }));
}

/** The same numbers for whoever would rather read them, or hear them. */
function Numbers({ what, title }: { what: Drawn; title: string }) {
  const open = useSignal(false);
  const { property, made, list } = what;
  const shown = heads(what);
  const cell = (value: number | null | undefined) => {
    if (value === null || value === undefined) return "–";
    return made.shape === "states" ? inPercent(value) : told(value, property, made);
  };
  return (
    <details
      class="numbers"
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary>{t("chart.as_table")}</summary>
      {open.value && (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached without a mouse.
        <section class="scroll" tabIndex={0} aria-label={title}>
          <table>
            <caption class="unseen">{title}</caption>
            <thead>
              <tr>
                <th scope="col">{t("chart.time")}</th>
                {shown.map(({ at, word }) => (
                  <th key={at} scope="col" class="number">
                    {word}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...list].reverse().map((bucket) => (
                <tr key={bucket.start}>
                  <th scope="row">{bucketTime(bucket)}</th>
                  {shown.map(({ at }) => (
                    <td key={at} class="number">
                      {cell(bucket.values[at])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}

function inPercent(share: number): string {
  return new Intl.NumberFormat(language.value, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

export function Chart({ answer, what }: { answer: Answer<Buckets>; what: Drawn | null }) {
  const pointed = useSignal<Pointed | null>(null);
  const spoken = language.value;
  const name = what === null ? "" : named("property", what.property.name);
  const title = t("chart.title", { property: name, span: lastWord(span.value) });
  const [words, unit] = useMemo(
    () =>
      what === null
        ? ["", ""]
        : [summary(what.property, what.made, what.list), axisOf(what.property, what.made, what.list).unit],
    [what, spoken],
  );
  const empty = what?.list.every(({ values }) => values.every((value) => value === null)) ?? false;
  return (
    <>
      {what === null && answer.problem !== null && (
        <div class="chart-trouble">
          <Trouble answer={answer} />
        </div>
      )}
      <figure
        hidden={what === null && answer.problem !== null}
        class={`chart ${answer.asking ? "asking" : ""}`}
        aria-busy={answer.asking}
      >
        <p class="chart-unit small quiet">{unit}</p>
        <div class="chart-place" role="img" aria-label={`${title}. ${words}`}>
          {what !== null && <Plot what={what} pointed={pointed} />}
          {what !== null && <Tip what={what} pointed={pointed} />}
          {what === null && <div class="bone tall" aria-hidden="true" />}
          {empty && <p class="chart-empty">{t("chart.nothing")}</p>}
        </div>
        {what !== null && <States what={what} />}
        <figcaption class="small quiet">
          {!empty && words}{" "}
          <span>
            {t("chart.zone", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll("_", " ") })}
          </span>
        </figcaption>
      </figure>
      {what !== null && <Trouble answer={answer} />}
      {what !== null && <Numbers what={what} title={title} />}
    </>
  );
}
