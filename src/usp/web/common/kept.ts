/** What the browser keeps for the page. In a frame of another site, or where its owner forbids it, it keeps nothing. */

type Where = "localStorage" | "sessionStorage";

/** What was kept under a name, until the browser is cleared or, in `sessionStorage`, as long as the tab. */
export function kept(name: string, where: Where = "localStorage"): string | null {
  try {
    return window[where].getItem(name);
  } catch {
    return null;
  }
}

/** Keep it, or with null no longer, if the browser lets us. */
export function keep(name: string, value: string | null, where: Where = "localStorage"): void {
  try {
    if (value === null) window[where].removeItem(name);
    else window[where].setItem(name, value);
  } catch {
    // Then it holds for this visit.
  }
}
