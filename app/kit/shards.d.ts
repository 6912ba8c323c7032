import type { Pool } from "pg";
import type { Database, DatabaseOptions, DatabaseSnapshot } from "./database.js";

export interface ShardsOptions extends Omit<DatabaseOptions, "name" | "address" | "replicaVariable"> {
  /**
   * The variable that holds the shards' addresses, separated by commas. A shard is known by its place: add at the end only.
   * Replicas of the first are in DATABASE_SHARD_0_REPLICA_URLS, and so on. Default: DATABASE_SHARD_URLS.
   */
  variable?: string;
}

export interface Shards {
  /** The database that has a key. */
  for(key: string): Database;
  /** shard-0, shard-1, ... */
  nameOf(key: string): string;
  /** What `work` has for each shard, at once and in their order: a read across all. Rejects when one does, with its name. */
  each<T>(work: (database: Database, name: string) => Promise<T>): Promise<T[]>;
  snapshot(): Record<string, DatabaseSnapshot>;
  end(): Promise<void>;
}

/**
 * Databases that have a part of the keys each, by ketama hashing.
 * @throws TypeError when the variable names none
 */
export function createShards(pg: { Pool: typeof Pool }, options?: ShardsOptions): Shards;
