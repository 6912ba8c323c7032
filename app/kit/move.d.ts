import type { Client } from "pg";

export interface MoveOptions {
  /** Each table that has a shard's key, and the column of text that holds it; who refers to another comes after it. */
  tables: Record<string, string>;
  /** The variable that holds the shards' addresses, separated by commas. Default: DATABASE_SHARD_URLS. */
  variable?: string;
  /**
   * move: with one address more than there are shards with keys, move the new one's keys there; without, record which have.
   * undo: move them back, until the move is finished. finish: end it, once all have moved. Default: move.
   */
  action?: "move" | "undo" | "finish";
  /** Milliseconds that every worker is given to know of it; less than 5000 is for tests. Default: 10000. */
  settle?: number;
  /** In how many parts each shard's keys move, each while its keys wait. Default: one for about 300 rows, 64 at least. */
  buckets?: number;
  /** Takes each step, and each second how many buckets are done. */
  tell?: (progress: MoveProgress) => void;
}

export interface MoveProgress {
  doing: string;
  done?: number;
  of?: number;
  rows?: number;
  buckets?: number;
  seconds?: number;
}

export interface Moved {
  state: "recorded" | "moved" | "undone" | "finished";
  /** How many shards had keys before, and have them with the new one. */
  from: number;
  to: number;
  /** Keys that are on the new shard, and on all. */
  keys: { moved: number; all: number };
  /** Rows that this call moved. */
  rows: number;
  /** Buckets of each shard. */
  buckets: number;
  /** Milliseconds that the keys of one bucket waited, at most. */
  longestWait: number;
  seconds: number;
}

/** It can't begin or go on, as `message` says: a line for each reason. */
export class MoveError extends Error {}

/**
 * Move the keys of a shard that was added to it, row by row, while others read and write through createShards. What was cut
 * short is gone on with by the next call, from anywhere.
 * @throws MoveError
 */
export function moveKeys(pg: { Client: typeof Client }, options: MoveOptions): Promise<Moved>;
