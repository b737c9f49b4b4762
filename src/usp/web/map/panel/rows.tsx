/** A device as a row of a list. */

import { selection } from "../choice";
import { type Look, look, quantity } from "../look";
import { type Device, heard, newest, type Spot, told } from "../store";
import { Age, Glyph } from "./pieces";
import { rowOf } from "./way";
import { sort } from "./words";

/** A device as the map would show it if it stood alone. */
export function spotOf(device: Device): Spot {
  return {
    id: device.device,
    building: device.kind === "energy_meter",
    kind: device.kind,
    category: device.category ?? null,
    title: device.title ?? device.device,
    site: device.site ?? null,
    lon: device.lon ?? 0,
    lat: device.lat ?? 0,
    devices: [device],
  };
}

/** Its picture in the colours it has on the map. */
export function Disc({ looks }: { looks: Look }) {
  return (
    <span
      class="disc"
      style={{ background: looks.fill, color: looks.ink, boxShadow: `inset 0 0 0 2px ${looks.ring}` }}
      aria-hidden="true"
    >
      <Glyph path={looks.glyph} />
    </span>
  );
}

/** What a row says of a device: its state or value; of a roof what it yields. */
function wordOf(device: Device, looks: Look): string {
  const power = newest(device.device, "energy")?.active_power;
  if (looks.silent || device.category !== "photovoltaic" || typeof power !== "number") return looks.word;
  return quantity(Math.max(0, -power), "W");
}

export function DeviceRow({ device, more }: { device: Device; more?: string | undefined }) {
  told.value;
  const looks = look(spotOf(device));
  const last = heard(device.device);
  return (
    <li>
      <button
        type="button"
        id={rowOf({ device: device.device })}
        class="place device"
        onClick={() => {
          selection.value = { device: device.device };
        }}
      >
        <Disc looks={looks} />
        <span class="place-title">{device.title ?? device.device}</span>
        <span class="place-words">
          {sort(device)}
          {more !== undefined && ` · ${more}`}
        </span>
        <span class={`word ${looks.tone}`}>{wordOf(device, looks)}</span>
        {last !== null && <Age time={last} />}
      </button>
    </li>
  );
}
