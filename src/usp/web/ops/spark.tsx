/** A line as small as a word: how something went over the last hour. */

const WIDTH = 132;
const HEIGHT = 30;
/** Room for half a stroke. */
const EDGE = 1.5;

interface Props {
  /** Oldest first, as shares of the height; null where nothing is known. */
  shares: readonly (number | null)[];
  /** The same in words. */
  text: string;
  tone?: string;
}

export function Spark({ shares, text, tone = "accent" }: Props) {
  const x = (index: number) => EDGE + (index / Math.max(1, shares.length - 1)) * (WIDTH - 2 * EDGE);
  const y = (share: number) => HEIGHT - EDGE - Math.min(1, Math.max(0, share)) * (HEIGHT - 2 * EDGE);
  const runs = pieces(shares).map((run) =>
    run.map(([index, share]) => `${x(index).toFixed(1)},${y(share).toFixed(1)}`),
  );
  // A single point is a line of no length, which round ends make visible.
  const lines = runs.map((run) => `M${run.join("L")}${run.length === 1 ? "h0" : ""}`).join("");
  const areas = runs.map((run) => `M${run[0]?.split(",")[0]},${HEIGHT}L${run.join("L")}V${HEIGHT}Z`).join("");
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img">
      <title>{text}</title>
      <path class="base" d={`M0,${HEIGHT - EDGE}H${WIDTH}`} />
      <path class="area" d={areas} />
      <path class="line" d={lines} />
    </svg>
  );
}

/** What is known, in runs without a gap. */
function pieces(shares: readonly (number | null)[]): [number, number][][] {
  const runs: [number, number][][] = [];
  let run: [number, number][] | null = null;
  for (const [index, share] of shares.entries()) {
    if (share === null) run = null;
    else if (run !== null) run.push([index, share]);
    else {
      run = [[index, share]];
      runs.push(run);
    }
  }
  return runs;
}

/**
 * Counts as shares of the height. A burst, as when the past is brought in, would press all else to the ground, so the
 * top is at most four times what is usual.
 */
export function countShares(counts: readonly number[]): number[] {
  const usual = counts.filter((count) => count > 0).sort((a, b) => a - b);
  const middle = usual[Math.floor(usual.length / 2)] ?? 0;
  const top = Math.min(Math.max(1, ...counts), Math.max(1, 4 * middle));
  return counts.map((count) => count / top);
}

const LEAST_S = 0.1;
const MOST_S = 3600;

/** Delays as shares of the height, from a tenth of a second to an hour, each ten times as far up as the one before. */
export function delayShares(delays: readonly (number | null)[]): (number | null)[] {
  const whole = Math.log(MOST_S / LEAST_S);
  return delays.map((delay) => (delay === null ? null : Math.log(Math.max(delay, LEAST_S) / LEAST_S) / whole));
}
