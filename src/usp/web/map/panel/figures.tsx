/** The city in four figures. */

import type { ComponentChildren } from "preact";
import { number } from "../../common/format";
import { named, t } from "../../common/i18n";
import { connection } from "../../common/stream";
import { coloured } from "../choice";
import { glyph, property, quantity } from "../look";
import { Glyph } from "./pieces";
import { counts } from "./tally";
import { withUnit } from "./words";

/** A figure, then its unit or what it is a part of. */
function Tile({ kind, figure, of, label }: { kind: string; figure: string; of: string; label: ComponentChildren }) {
  return (
    <li class="tile">
      <Glyph path={glyph({ kind, category: null })} />
      <p>
        <strong>{figure}</strong> <span class="of">{of}</span>
        <span class="label">{label}</span>
      </p>
    </li>
  );
}

/** A number and its unit. */
function parted(quantity: string): { figure: string; of: string } {
  const [, figure = quantity, of = ""] = /^(\S+)\s(.*)$/.exec(quantity) ?? [];
  return { figure, of };
}

/** Before everything has been told, nothing is free: say nothing yet. */
function Waiting() {
  return (
    <ul class="tiles" aria-hidden="true">
      {["parking_sensor", "charging_point", "lamppost", "energy_meter"].map((kind) => (
        <li key={kind} class="tile">
          <Glyph path={glyph({ kind, category: null })} />
          <p>
            <span class="bone" />
          </p>
        </li>
      ))}
    </ul>
  );
}

export function Figures() {
  const counted = counts.value;
  if (counted === null || connection.value === "waiting") return <Waiting />;
  const { bays, free, points, available, lamps, reporting, meters, watts, sun } = counted.all;
  const [dataset = "", name = ""] = coloured.value.split(".", 2);
  const known = property(`${dataset}.${name}`);
  const reports = t("panel.figure_lamps", { reporting, lamps });
  return (
    <ul class="tiles">
      {bays > 0 && (
        <Tile
          kind="parking_sensor"
          figure={number(free)}
          of={t("panel.of", { all: bays })}
          label={t("panel.figure_bays", { bays })}
        />
      )}
      {points > 0 && (
        <Tile
          kind="charging_point"
          figure={number(available)}
          of={t("panel.of", { all: points })}
          label={t("panel.figure_points", { points })}
        />
      )}
      {lamps > 0 &&
        (counted.median === null ? (
          <Tile
            kind="lamppost"
            figure={number(reporting)}
            of={t("panel.of", { all: lamps })}
            label={t("panel.figure_lamps_only", { lamps })}
          />
        ) : (
          <Tile
            kind="lamppost"
            {...parted(withUnit(counted.median, known?.unit))}
            label={
              <>
                {t("panel.figure_median", { property: named("property", name) })}
                <span class="more">{reports}</span>
              </>
            }
          />
        ))}
      {meters > 0 && (
        <Tile
          kind="energy_meter"
          {...parted(watts === null ? "–" : quantity(Math.abs(watts), "W"))}
          label={
            <>
              {t((watts ?? 0) < 0 ? "panel.figure_buildings_in" : "panel.figure_buildings")}
              {sun !== null && sun >= 1 && <span class="more">{t("panel.sun", { power: quantity(sun, "W") })}</span>}
            </>
          }
        />
      )}
    </ul>
  );
}
