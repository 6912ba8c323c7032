import type { Pool } from "pg";
import type { Database, DatabaseOptions, DatabaseSnapshot } from "./database.js";

export interface ShardsOptions extends Omit<DatabaseOptions, "name" | "address" | "replicaVariable"> {
  /**
   * The variable that holds the shards' addresses, separated by commas. A shard is known by its place: add at the end only.
   * Replicas of the first are in DATABASE_SHARD_0_REPLICA_URLS, and so on. Default: DATABASE_SHARD_URLS.
   */
  variable?: string;
}

/** A key's database, wherever that is when a statement is made. */
export type KeyDatabase = Pick<Database, "write" | "read" | "position">;

export interface EachOptions {
  /** Also shards that have no keys yet, as for a migration. Default: false. */
  all?: boolean;
}

export interface Shards {
  /**
   * The database that has a key. While that key moves to a shard that was added, a statement is made in a transaction, on
   * the primary.
   */
  for(key: string): KeyDatabase;
  /** shard-0, shard-1, ...: as far as is known, which is all shards before the first statement. */
  nameOf(key: string): string;
  /** What `work` has for each shard, at once and in their order: a read across all. Rejects when one does, with its name. */
  each<T>(work: (database: Database, name: string) => Promise<T>, options?: EachOptions): Promise<T[]>;
  snapshot(): Record<string, DatabaseSnapshot>;
  end(): Promise<void>;
}

/**
 * Databases that have a part of the keys each, by ketama hashing. Which ones have keys is recorded in them at the first
 * start, in the schema `expressway_kit`: one that is added later has none until `moveKeys` brings them.
 * @throws TypeError when the variable names none
 */
export function createShards(pg: { Pool: typeof Pool }, options?: ShardsOptions): Shards;
