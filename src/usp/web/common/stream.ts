/** `/v1/stream`: newest values as they change (docs/stream.md). */

import { signal } from "@preact/signals";

/** The newest values of a device in a dataset, as `latest` has them. */
export interface State {
  dataset: string;
  device: string;
  time: string;
  site?: string;
  lon?: number;
  lat?: number;
  flags: string[];
  [property: string]: unknown;
}

export interface Listener {
  reset(): void;
  state(told: State): void;
  gone(told: { dataset: string; device: string }): void;
}

/** `waiting` before everything has been told once; `away` while there is no connection. */
export const connection = signal<"waiting" | "live" | "away">("waiting");

/** After an answer like 503 an EventSource does not come again by itself. */
const AGAIN_MS = 5_000;

/** Listen for as long as the page lives. */
export function listen(url: string, listener: Listener): void {
  const source = new EventSource(url);
  const on = (name: string, tell: (data: unknown) => void) =>
    source.addEventListener(name, (event) => tell(JSON.parse((event as MessageEvent<string>).data)));
  on("reset", () => listener.reset());
  on("state", (told) => listener.state(told as State));
  on("gone", (told) => listener.gone(told as State));
  on("live", () => {
    connection.value = "live";
  });
  source.onerror = () => {
    connection.value = "away";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(url, listener), AGAIN_MS);
  };
}
