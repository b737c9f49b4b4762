/** What was sent, as it was sent. */

import { t } from "../common/i18n";
import type { Rejection } from "./shapes";

/** What nests deeper is shown as it is: indented, its spaces would be more than its words. */
const DEEPEST = 24;

export function Payload({ sample }: { sample: Rejection }) {
  if (sample.payload === undefined)
    return (
      <p class="small quiet">
        {t("ops.not_kept")} <code class="told">{sample.payload_sha256}</code>
      </p>
    );
  const bytes = sample.payload_encoding === "base64";
  return (
    <>
      {bytes && <p class="small quiet">{t("ops.base64")}</p>}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it may be longer than its box, and arrow keys then scroll it. */}
      <pre class="box" tabIndex={0}>
        {bytes ? sample.payload : indented(sample.payload)}
      </pre>
    </>
  );
}

/**
 * JSON, one member a line; what is none stays as it is.
 *
 * Only spaces between its pieces change. Read and written anew it would no longer be what was refused: 1e999 would
 * become null, and of two members with one name the first would be gone.
 */
function indented(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  // Strings, numbers and words, and what stands between them.
  const pieces = text.match(/"(?:[^"\\]|\\.)*"|[^\s"{}[\],:]+|[{}[\],:]/g) ?? [];
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [index, piece] of pieces.entries()) {
    const opens = piece === "{" || piece === "[";
    const closes = piece === "}" || piece === "]";
    const before = pieces[index - 1];
    const empty = closes && (before === "{" || before === "[");
    if (opens && ++depth > DEEPEST) return text;
    if (closes) depth -= 1;
    if (closes && !empty) out += line();
    out += piece;
    if (piece === ",") out += line();
    else if (piece === ":") out += " ";
    else if (opens && !["}", "]"].includes(pieces[index + 1] ?? "")) out += line();
  }
  return out;
}
