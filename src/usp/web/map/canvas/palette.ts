/** Colours of the map, light and dark; those of states are the ones of `theme.css`. */

import { dark } from "../../common/theme";

export type Tone = "good" | "busy" | "wait" | "bad" | "none";

export interface Palette {
  /** Of states: ring and, where filled, the whole. */
  tones: Record<Tone, string>;
  /** What is drawn on a filled spot. */
  on: string;
  /** The inside of a hollow spot. */
  surface: string;
  /** What has not been heard of. */
  silent: { fill: string; ring: string; ink: string };
  /** Lightness goes one way, so it can be read without telling hues apart; most is what stands out most. */
  ramp: readonly string[];
  /** Below zero: a building that feeds in. */
  below: string;
  text: string;
  quiet: string;
  halo: string;
  accent: string;
  /** From where nothing is known to where most is. */
  relief: readonly [string, string, string, string];
  /** Of contours and of the grid. */
  line: string;
  street: string;
  casing: string;
  pad: string;
  padEdge: string;
  building: string;
  buildingEdge: string;
}

const LIGHT: Palette = {
  tones: { good: "#00795a", busy: "#b8460b", wait: "#8a6100", bad: "#b3261e", none: "#55636f" },
  on: "#ffffff",
  surface: "#ffffff",
  silent: { fill: "#e3e8eb", ring: "#93a0aa", ink: "#74828d" },
  ramp: ["#b5e0dc", "#7cc0d2", "#5b95c9", "#6a68b4", "#7c3c8f", "#6a1553"],
  below: "#00795a",
  text: "#33424e",
  quiet: "#64727e",
  halo: "#f4f7f8",
  accent: "#0b6e6e",
  relief: ["#e0e7e9", "#e7edef", "#edf2f3", "#f3f6f6"],
  line: "#d8e0e4",
  street: "#ffffff",
  casing: "#c9d4d9",
  pad: "#dcefe9",
  padEdge: "#b6d9ce",
  building: "#dfe2ea",
  buildingEdge: "#c3c9d6",
};

const DARK: Palette = {
  tones: { good: "#54d3a4", busy: "#ff9a5c", wait: "#f1c04e", bad: "#ff8f86", none: "#a0afba" },
  on: "#0c1317",
  surface: "#161e24",
  silent: { fill: "#242f36", ring: "#5d6c77", ink: "#82919c" },
  ramp: ["#2f6f78", "#3c86ad", "#6690d8", "#9d8fe6", "#d99adf", "#ffc4cf"],
  below: "#54d3a4",
  text: "#c6d2da",
  quiet: "#93a3af",
  halo: "#121a1f",
  accent: "#5fd0c5",
  relief: ["#0c1216", "#10171b", "#141c21", "#192228"],
  line: "#1d282f",
  street: "#2c3a43",
  casing: "#3d4d57",
  pad: "#143029",
  padEdge: "#22493f",
  building: "#222a38",
  buildingEdge: "#364153",
};

/** The colours of now. */
export function palette(): Palette {
  return dark.value ? DARK : LIGHT;
}

/** Black or white, whichever can be read on a colour (WCAG 2.2, relative luminance). */
export function inkOn(fill: string): string {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(fill.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 ? "#10191f" : "#ffffff";
}
