/** `/v1/stream`: newest values as they change (docs/stream.md). */

import { batch, signal } from "@preact/signals";
import { ahead } from "./api";

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

interface Listener {
  reset(): void;
  state(told: State): void;
  gone(told: { dataset: string; device: string }): void;
  live(): void;
}

/** `waiting` before everything has been told once; `away` while there is no connection, though somebody looks. */
export const connection = signal<"waiting" | "live" | "away">("waiting");
/** Since when something may have happened that has not been told, in ms since 1970 by the platform's clock. */
export const cutAt = signal<number | null>(null);

/** After an answer like 503 an EventSource does not come again by itself. */
const AGAIN_MS = 5_000;
/** Over HTTP/1.1 a browser has six connections to a host for all its tabs: whom nobody looks at leaves his to others. */
const UNSEEN_MS = 30_000;

/** Listen for as long as the page lives and is looked at. */
export function listen(url: string, listener: Listener): void {
  let source: EventSource | null = null;
  let again: ReturnType<typeof setTimeout> | undefined;
  let leaving: ReturnType<typeof setTimeout> | undefined;

  function open(): void {
    const opened = new EventSource(url);
    source = opened;
    const on = (name: string, tell: (data: unknown) => void) =>
      opened.addEventListener(name, (event) => tell(JSON.parse((event as MessageEvent<string>).data)));
    on("reset", () => listener.reset());
    on("state", (told) => listener.state(told as State));
    on("gone", (told) => listener.gone(told as State));
    on("live", () =>
      batch(() => {
        listener.live();
        cutAt.value = null;
        connection.value = "live";
      }),
    );
    opened.addEventListener("error", () => {
      cutAt.value ??= Date.now() + ahead.peek();
      connection.value = "away";
      if (opened.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
  }

  function leave(): void {
    clearTimeout(again);
    source?.close();
    source = null;
    cutAt.value ??= Date.now() + ahead.peek();
  }

  function look(): void {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(leave, UNSEEN_MS);
    else if (source === null) open();
  }

  document.addEventListener("visibilitychange", look);
  open();
  look();
}
