/** An answer of the API that a component shows: asked for, asked again as time goes on, or when it did not come. */

import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";
import { get, Problem } from "../../common/api";
import { now } from "../../common/format";

export interface Answer<T> {
  /** The newest answer; while another question is under way, still that to the one before. */
  data: T | null;
  /** The question that this answers, and the address it was asked by. */
  of: string | null;
  url: string | null;
  problem: Problem | null;
  asking: boolean;
  /** Ms since 1970; before that the platform does not want to be asked again. */
  notBefore: number;
  again: () => void;
}

const FIRST_PAUSE_S = 5;
const LONGEST_PAUSE_S = 60;
const LATER = new Set([0, 429, 500, 502, 503, 504]);

/** Ask what `url()` says whenever `question` is another one, and every `everyS` seconds. */
export function useAnswer<T>(question: string, url: () => string, everyS: number): Answer<T> {
  const state = useSignal({
    data: null as T | null,
    of: null as string | null,
    url: null as string | null,
    problem: null as Problem | null,
    asking: true,
    notBefore: 0,
  });
  const turn = useRef<() => void>(() => undefined);
  useEffect(() => {
    let stopped: AbortController | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let pause = FIRST_PAUSE_S;

    async function ask(): Promise<void> {
      clearTimeout(timer);
      stopped?.abort();
      const mine = new AbortController();
      stopped = mine;
      const asked = url();
      state.value = { ...state.peek(), asking: true };
      let next = everyS;
      try {
        const data = await get<T>(asked, mine.signal);
        if (mine.signal.aborted) return;
        pause = FIRST_PAUSE_S;
        state.value = { data, of: question, url: asked, problem: null, asking: false, notBefore: 0 };
      } catch (error) {
        if (mine.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(-1, String(error));
        const wait = problem.retryAfterS;
        const notBefore = wait === null ? 0 : now.peek() + wait * 1000;
        state.value = { ...state.peek(), problem, asking: false, notBefore };
        if (!LATER.has(problem.status)) return;
        next = wait ?? pause;
        pause = Math.min(LONGEST_PAUSE_S, pause * 2);
      }
      timer = setTimeout(whenSeen, next * 1000);
    }
    /** Nobody looks: ask when somebody does. */
    function whenSeen(): void {
      if (document.hidden) document.addEventListener("visibilitychange", whenSeen, { once: true });
      else void ask();
    }

    turn.current = () => void ask();
    void ask();
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", whenSeen);
      stopped?.abort();
    };
  }, [question, everyS]);

  const again = useCallback(() => turn.current(), []);
  return { ...state.value, again };
}
