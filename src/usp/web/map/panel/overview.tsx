/** The city as a whole: its figures, what of it is shown, and the way to each of its places. */

import { t } from "../../common/i18n";
import { Colouring, Filters, Signs } from "../filters";
import { Calls, cityCalls } from "./calls";
import { Figures } from "./figures";
import { Part, Waiting } from "./pieces";
import { Places } from "./places";
import { counts } from "./tally";

export function Overview() {
  const known = counts.value !== null;
  const lamps = (counts.value?.all.lamps ?? 0) > 0;
  return (
    <>
      <header class="panel-head">
        <h2 id="overview-title" tabIndex={-1}>
          {t("panel.title")}
        </h2>
      </header>
      <Figures />
      <Filters />
      {lamps && <Colouring />}
      {known && <Signs />}
      {known ? <Places /> : <Waiting lines={8} />}
      {known && (
        <Part id="city-data" title={t("panel.data")}>
          <Calls calls={cityCalls()} />
        </Part>
      )}
    </>
  );
}
