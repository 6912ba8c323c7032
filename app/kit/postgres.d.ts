import type { Pool, PoolConfig } from "pg";

export interface PoolOptions extends Omit<PoolConfig, "connectionString" | "password" | "Client"> {
  /** The variable that holds the address, with user and password. Default: DATABASE_URL. */
  variable?: string;
  /** What is asked for the address at each new connection, instead of a variable. */
  address?: () => string | undefined;
  /** Milliseconds that a connection whose password is refused is tried again. Default: 5000. */
  patience?: number;
  /**
   * Whether each statement gets the request's id in a comment, for PostgreSQL's log. Prepared statements then lose their
   * names, and are parsed and planned each time. Default: false.
   */
  requestIds?: boolean;
}

/**
 * A pool of node-postgres (`import pg from "pg"`) whose password may change while it is in use: open connections go on,
 * new ones take the password that counts then, and one that is refused asks for it and is tried again.
 */
export function createPool(pg: { Pool: typeof Pool }, options?: PoolOptions): Pool;
