import type { ClientBase, Pool, PoolConfig, QueryConfig, QueryResult, QueryResultRow } from "pg";

export interface DatabaseOptions {
  /** What the caller's cookie calls this database: letters, digits, _ and -. Default: main. */
  name?: string;
  /** The variable that holds the primary's address, with user and password. Default: DATABASE_URL. */
  variable?: string;
  /** What is asked for the primary's address at each new connection, instead of a variable. */
  address?: () => string | undefined;
  /** The variable that holds the replicas' addresses, separated by commas. Default: DATABASE_REPLICA_URLS. */
  replicaVariable?: string;
  /** Milliseconds that a replica may lag behind and still be read. Default: 1000. */
  maxLag?: number;
  /** Milliseconds from one look at all servers to the next; without replicas there are none. Default: 500. */
  interval?: number;
  /** Milliseconds that what is safe to try again is tried again. Default: 5000. */
  patience?: number;
  /** How many failures in a row until a server isn't asked. Default: 3. */
  failures?: number;
  /** How long it then isn't asked, in milliseconds; up to five times as long while it stays so. Default: 1000. */
  pause?: number;
  /**
   * The pool of each server, as node-postgres and createPool have it. Default: 5 connections, 2 s to connect, 3 s for a
   * statement (4 s where the server is silent), keep-alive.
   */
  pool?: Omit<PoolConfig, "connectionString" | "password" | "Client"> & { requestIds?: boolean };
  /** Takes one line for each connection that is lost. Default: console.log. */
  log?: (message: string) => void;
}

export interface ReadOptions {
  /** How far the server must have come, as `position()` told it; the caller's own writes count anyway. */
  after?: string;
  /** Read from the primary. Default: false. */
  primary?: boolean;
}

export interface NodeSnapshot {
  up: boolean;
  breaker: "closed" | "open" | "half-open";
  connections: number;
  idle: number;
  /** How many wait for a connection. */
  waiting: number;
}

export interface ReplicaSnapshot extends NodeSnapshot {
  inRotation: boolean;
  /** Milliseconds since the primary was first seen to have more; null: not known. */
  lag: number | null;
}

/** What one process has seen since it began. */
export interface DatabaseSnapshot {
  primary: NodeSnapshot;
  replicas: ReplicaSnapshot[];
  writes: number;
  reads: number;
  replicaReads: number;
  primaryReads: number;
  retries: number;
  failures: number;
}

type Statement = string | QueryConfig;

export class Database {
  /**
   * A statement on the primary. Tried again for `patience` when nothing was sent (no connection) or the server takes no
   * writes; whatever else fails may have been done, and isn't.
   */
  write<R extends QueryResultRow = any>(statement: Statement, values?: unknown[]): Promise<QueryResult<R>>;
  /** A transaction on the primary: committed when `work` resolves, rolled back when it rejects; never run twice. */
  write<T>(work: (client: ClientBase) => Promise<T>): Promise<T>;
  /**
   * A statement that changes nothing, on a replica that has all that the caller wrote, or on the primary. Tried on another
   * server when one fails.
   */
  read<R extends QueryResultRow = any>(
    statement: Statement,
    values?: unknown[],
    options?: ReadOptions,
  ): Promise<QueryResult<R>>;
  /** How far the caller has written, for `after`; "" when nothing is known. */
  position(): string;
  snapshot(): DatabaseSnapshot;
  end(): Promise<void>;
}

/**
 * The primary that DATABASE_URL names, and the replicas of DATABASE_REPLICA_URLS if there are any (`import pg from "pg"`).
 * How far a caller has written travels in its cookie `lsn`, which a write sets before the answer's head is sent.
 * @throws TypeError when an option isn't one
 */
export function createDatabase(pg: { Pool: typeof Pool }, options?: DatabaseOptions): Database;
