/** What is asked of the API, and the one error that its problem documents (RFC 9457) become. */

import { signal } from "@preact/signals";

export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }
}

/** By how many ms the platform's clock is ahead of the browser's, as far as an answer's whole seconds tell. */
export const ahead = signal(0);
const UNCERTAIN_MS = 2_000;

let token: string | null = null;

/** From now on send this token with every request, or none. */
export function useToken(presented: string | null): void {
  token = presented;
}

/** Ask, and refuse with `Problem` whatever is not 2xx; status 0 where nobody answers. */
export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, error instanceof Error ? error.message : String(error));
  }
  compareClocks(response.headers.get("Date"));
  if (response.ok) return response;
  const told: unknown = await response.json().catch(() => null);
  const detail = isObject(told) && typeof told.detail === "string" ? told.detail : response.statusText;
  const retry = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new Problem(response.status, detail, Number.isNaN(retry) ? null : retry);
}

function compareClocks(date: string | null): void {
  const difference = Date.parse(date ?? "") - Date.now();
  if (Math.abs(difference - ahead.peek()) > UNCERTAIN_MS) ahead.value = difference;
}

/** A JSON answer. */
export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(url, { headers: { Accept: "application/json" }, signal: signal ?? null });
  return (await response.json()) as T;
}

/** Send JSON, get JSON. */
export async function post<T>(url: string, body: unknown): Promise<T> {
  const response = await send(url, body);
  return (await response.json()) as T;
}

/** Send JSON; each line of the answer (NDJSON) is handed on as it comes. */
export async function postLines<T>(url: string, body: unknown, line: (told: T) => void): Promise<void> {
  const response = await send(url, body);
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    held += value ?? "";
    const lines = held.split("\n");
    held = done ? "" : (lines.pop() ?? "");
    for (const text of lines) if (text !== "") line(JSON.parse(text) as T);
    if (done) return;
  }
}

function send(url: string, body: unknown): Promise<Response> {
  return ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

interface Page<T> {
  data: T[];
  next: string | null;
}

/** All rows of a paged list, page after page. */
export async function all<T>(url: string, signal?: AbortSignal): Promise<T[]> {
  const rows: T[] = [];
  for (let next: string | null = url; next !== null;) {
    const page: Page<T> = await get<Page<T>>(sameOrigin(next), signal);
    rows.push(...page.data);
    next = page.next;
  }
  return rows;
}

/** Behind a proxy `next` may name another scheme or host than the one this page came from. */
function sameOrigin(url: string): string {
  const parsed = new URL(url, location.href);
  return parsed.pathname + parsed.search;
}

/** An address of the API with its query; what is undefined, null or "" is left out, and commas stay readable. */
export function address(path: string, query: Record<string, string | number | null | undefined> = {}): string {
  const told = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = told.map(
    ([name, value]) => `${name}=${encodeURIComponent(String(value)).replaceAll("%2C", ",").replaceAll("%3A", ":")}`,
  );
  return text.length === 0 ? path : `${path}?${text.join("&")}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
