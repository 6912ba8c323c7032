/** A cache, a database, shards, or anything else that says how it is. */
export interface Part {
  snapshot(): object;
}

/**
 * What parts say of themselves, in Prometheus' text format: `expressway_kit_hits{part="cache"} 12`,
 * `expressway_kit_lag{part="database",of="replicas.0"} 0`, `expressway_kit_breaker{part="cache",is="closed"} 1`. All of it is
 * of the process that is asked: each worker of a machine has its own.
 */
export function metrics(parts: Record<string, Part>): string;
