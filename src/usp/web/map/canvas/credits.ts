/** What the owner of raster tiles wants to be said, with his links and nothing else of his markup. */

export interface Credit {
  text: string;
  href: string | null;
}

export function credits(markup: string): Credit[] {
  const { body } = new DOMParser().parseFromString(markup, "text/html");
  return [...body.childNodes].map((node) => {
    const address = node instanceof HTMLAnchorElement && /^https?:$/.test(node.protocol) ? node.href : null;
    return { text: node.textContent ?? "", href: address };
  });
}
