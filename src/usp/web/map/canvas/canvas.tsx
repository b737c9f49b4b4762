/** The map, and the few things that lie on it. */

import "maplibre-gl/dist/maplibre-gl.css";
import "./canvas.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { ago } from "../../common/format";
import { t } from "../../common/i18n";
import { look } from "../look";
import { devices, heard, settings } from "../store";
import { fitAll, fitTo, hovered, open, zoomBy } from "./city";
import { credits } from "./credits";

export { fitTo };

export function Canvas() {
  const place = useRef<HTMLDivElement>(null);
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    if (place.current === null) return;
    try {
      return open(place.current);
    } catch (error) {
      console.info(error);
      setBroken(true);
      return;
    }
  }, []);
  if (broken) return <p class="canvas-broken">{t("map.nogl")}</p>;
  return (
    <div class="canvas">
      <div class="canvas-map" ref={place} />
      <Buttons />
      <Credits />
      <Tooltip />
    </div>
  );
}

function Buttons() {
  const buttons = [
    { name: t("map.zoom_in"), sign: "M12 5v14M5 12h14", act: () => zoomBy(1) },
    { name: t("map.zoom_out"), sign: "M5 12h14", act: () => zoomBy(-1) },
    { name: t("map.fit"), sign: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5", act: fitAll },
  ];
  return (
    <div class="canvas-buttons">
      {buttons.map(({ name, sign, act }) => (
        <button type="button" key={sign} aria-label={name} title={name} onClick={act}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d={sign} />
          </svg>
        </button>
      ))}
    </div>
  );
}

/** Whose the background is, and how far it can be trusted. */
function Credits() {
  const { tiles } = settings.value;
  const approximate = [...devices.value.values()].some((device) => device.approximate);
  return (
    <p class="canvas-credits">
      {tiles === null
        ? t("map.drawn")
        : credits(tiles.attribution).map(({ text, href }) =>
            href === null ? (
              text
            ) : (
              <a key={href} href={href} target="_blank" rel="noreferrer">
                {text}
              </a>
            ),
          )}
      {approximate && ` · ${t("map.approximate")}`}
    </p>
  );
}

/** Pixels: half as wide, and as high as it may be. */
const HALF_TOOLTIP = 138;
const TOOLTIP = 120;

/** For the mouse only: the panel says all this, and more. */
function Tooltip() {
  if (hovered.value === null) return null;
  const { spot, x, y, width } = hovered.value;
  const middle = Math.min(Math.max(x, HALF_TOOLTIP), width - HALF_TOOLTIP);
  const { word, fill, ring } = look(spot);
  const times = spot.devices.map(({ device }) => heard(device)).filter((time) => time !== null);
  return (
    <div
      class={y < TOOLTIP ? "canvas-tooltip below" : "canvas-tooltip"}
      aria-hidden="true"
      style={{ transform: `translate(${middle}px, ${y}px)` }}
    >
      <div>
        <strong>{spot.title}</strong>
        <span class="canvas-word">
          <i style={{ background: fill, borderColor: ring }} />
          {word}
        </span>
        {times.length > 0 && <span class="canvas-age">{ago(Math.max(...times))}</span>}
      </div>
    </div>
  );
}
