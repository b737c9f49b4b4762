/** What the API tells operators (docs/operations.md, /openapi.json). Times are RFC 3339, lengths of time seconds. */

/** Figures of `/health/ingest`. */
export interface Ingest {
  totals: { received: number; stored: number; duplicate: number; rejected: number; in_flight: number };
  rates: { "1m": number };
  kinds: Record<string, KindFigures>;
}

export interface KindFigures {
  expected: number;
  reporting: number;
  silent: number;
  last_event: string | null;
  rates: { "1m": number };
}

/** `/v1/ops/minutes`: one value a step, oldest first; delays are null where no row came. */
export interface Minutes {
  steps: number;
  step_s: number;
  kinds: Record<string, Series>;
  total: Series;
}

export interface Series {
  received: number[];
  rejected: number[];
  delay_p50_s: (number | null)[];
  delay_p95_s: (number | null)[];
}

/** `/v1/ops/silent`; without `last_time` it has never spoken, without `interval` it reports changes. */
export interface Silent {
  device: string;
  title?: string;
  kind: string;
  site?: string;
  site_title?: string;
  interval?: number;
  last_time?: string;
  silent_for_s?: number;
}

export interface Page<T> {
  data: T[];
  next: string | null;
}

/** `/v1/ops/rejections/stats`: `open` wait; `total` counts also those of which nothing was kept. */
export interface ReasonFigures {
  reason: string;
  open: number;
  resolved: number;
  kept: number;
  total: number;
  last?: string;
}

/** `/v1/ops/rejections`; what is empty is left out. */
export interface Rejection {
  id: number;
  received_at: string;
  door: string;
  topic?: string;
  address?: string;
  device?: string;
  dataset?: string;
  field?: string;
  reason: string;
  detail?: string;
  whole_item: boolean;
  payload?: string;
  payload_encoding?: "utf-8" | "base64";
  payload_length?: number;
  payload_sha256?: string;
  resolved_at?: string;
}

/** A line of `/v1/ops/rejections/replay`. */
export interface Progress {
  chosen: number;
  taken: number;
  resolved: number;
  refused: Record<string, number>;
  without_bytes: number;
  done: boolean;
  interrupted?: string;
}

/** `/v1/ops/candidates`. */
export interface Candidates {
  data: Candidate[];
  profiles: Profile[];
  kinds: Record<string, { title: string; categories: string[]; visibility: string }>;
  sites: Place[];
}

interface Profile {
  profile: string;
  title: string;
  kind: string;
}

export interface Place {
  site: string;
  title?: string;
}

export interface Candidate {
  network: string;
  address: string;
  doors: string[];
  waiting: number;
  not_kept: number;
  first_at: string;
  last_at: string;
  name: string | null;
  application: string | null;
  model: string | null;
  tags: Record<string, unknown> | null;
  fields: Record<string, unknown> | null;
  port: number | null;
  payload: string | null;
  parent: string | null;
  registered_as: string | null;
  suggestions: { profile: string; known: number; fields: number }[];
}

/** What becomes of an approval. */
export interface Approval {
  device: string;
  title?: string;
  kind: string;
  profile: string;
  was_there: boolean;
  resolved: number;
  refused: Record<string, number>;
  left: number;
  not_kept: number;
}

/** `/v1/ops/state`; what the database did not answer in time is left out and named in `unanswered`. */
export interface State {
  database: {
    postgresql?: string;
    timescaledb?: string;
    licence?: string;
    size_bytes?: number;
    connections?: { used: number; most: number };
    oldest_write?: { pid: number | null; application: string; account: string | null; seconds: number | null } | null;
    hypertables?: Hypertable[];
    unanswered?: string[];
  };
  rollup: { dataset: string; rolled: string; behind_s: number; marks: number }[];
  broker: { addresses: string[]; workers: number; connected: number; in_flight: number };
  workers: Worker[];
}

export interface Hypertable {
  table: string;
  /** As the database estimates them; left out where it cannot. */
  rows?: number;
  bytes: number;
  chunks: number;
}

export interface Worker {
  slot: number;
  host: string;
  pid: number;
  started_at: string;
  heartbeat_at: string;
  in_flight: number;
  connected: boolean;
  alive: boolean;
}

/** `/health/ready`. */
export interface Ready {
  status: string;
  dependencies: Record<string, { status: string; critical: boolean; detail: string }>;
}
