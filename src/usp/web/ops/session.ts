/** Who asks: the token of the demonstration's own machine, or one that was typed in and is kept as long as the tab. */

import { signal } from "@preact/signals";
import { get, Problem, useToken } from "../common/api";
import { keep, kept } from "../common/kept";

/** Why there is a form: nobody has given a token yet, or the one given is wrong, may not, or could not be tried. */
export type Why = "none" | "ended" | "malformed" | "unknown" | "scope" | "away";
export type Session = { state: "asking" } | { state: "closed"; why: Why; detail: string } | { state: "open" };

const KEPT = "usp.ops.token";
const AGAIN_MS = 5_000;
/** RFC 6750, section 2.1: what a token may be made of. Anything else could not even be sent. */
const TOKEN = /^[\w.~+/-]+=*$/;

export const session = signal<Session>({ state: "asking" });
/** Whether the token was typed in, so that it can be put away again. */
export const typed = signal(false);

/** Begin with the token that is at hand, or ask for one. */
export async function begin(): Promise<void> {
  const before = kept(KEPT, "sessionStorage");
  typed.value = before !== null;
  try {
    const token = before ?? (await get<{ token: string | null }>("/ops/token")).token;
    if (token === null) session.value = { state: "closed", why: "none", detail: "" };
    else await enter(token);
  } catch (error) {
    const problem = asProblem(error);
    if (isAway(problem)) {
      session.value = { state: "closed", why: "away", detail: problem.message };
      setTimeout(() => {
        if (session.value.state === "closed" && session.value.why === "away") begin();
      }, AGAIN_MS);
    } else close("ended", problem.message);
  }
}

/** Try what was typed in. */
export async function signIn(text: string): Promise<void> {
  const token = text.trim();
  if (!TOKEN.test(token)) {
    session.value = { state: "closed", why: "malformed", detail: "" };
    return;
  }
  try {
    await enter(token);
    keep(KEPT, token, "sessionStorage");
    typed.value = true;
  } catch (error) {
    const problem = asProblem(error);
    close(why(problem), problem.message);
  }
}

export function signOut(): void {
  close("none", "");
}

/** The token is no longer taken. The demonstration makes a new one at each start, so ask for that before giving up. */
export function refused(problem: Problem): void {
  if (typed.value) close("ended", problem.message);
  else begin();
}

async function enter(token: string): Promise<void> {
  useToken(token);
  await get("/v1/ops/rejections/stats?limit=1");
  session.value = { state: "open" };
}

function close(reason: Why, detail: string): void {
  keep(KEPT, null, "sessionStorage");
  useToken(null);
  typed.value = false;
  session.value = { state: "closed", why: reason, detail };
}

function why(problem: Problem): Why {
  if (problem.status === 401) return "unknown";
  if (problem.status === 403) return "scope";
  return isAway(problem) ? "away" : "malformed";
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, error instanceof Error ? error.message : String(error));
}

/** Whether it is the platform that cannot answer now, rather than the question that was wrong. */
export function isAway(problem: Problem): boolean {
  return problem.status === 0 || problem.status === 429 || (problem.status >= 500 && problem.status !== 501);
}
