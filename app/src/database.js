import { createPool } from "@expressway/kit/postgres";
import pg from "pg";
import { HttpError } from "./errors.js";
import { log } from "./log.js";

// SQLSTATE classes in which the database, not the statement, is at fault: connection, resources, operator, system.
const UNAVAILABLE = new Set(["08", "53", "57", "58"]);

/**
 * A small pool on DATABASE_URL, whose password may change meanwhile: with N servers of W workers, PostgreSQL sees up to
 * N * W * poolMax connections. With sslmode=verify-full in the address, TLS with the certificate and its name checked,
 * against sslrootcert where that is given.
 * @param {string | number} [poolMax] connections per worker, 5
 */
export function connectDatabase(poolMax = 5) {
  const pool = createPool(pg, {
    max: Number(poolMax) || 5,
    connectionTimeoutMillis: 2_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 3_000,
    query_timeout: 4_000, // for a server that has gone silent, where its own timeout can't help
    keepAlive: true,
    application_name: "expressway-app",
    requestIds: true,
  });
  // Without a listener, losing an idle connection would end the process; the pool opens another when it needs one.
  pool.on("error", (error) => log("error", `database connection lost: ${error.message}`));

  return {
    /** Rows of one prepared statement. */
    async query(name, text, values) {
      const result = await pool.query({ name, text, values }).catch(refine);
      return result.rows;
    },

    /** Run statements in one transaction. */
    async transaction(statements) {
      const client = await pool.connect().catch(refine);
      let failure;
      try {
        await client.query("begin");
        for (const statement of statements) await client.query(statement);
        await client.query("commit");
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        client.release(failure); // a connection that failed half-way is closed, which rolls back
      }
    },

    async end() {
      await pool.end();
    },
  };
}

function refine(error) {
  if (error instanceof pg.DatabaseError && !UNAVAILABLE.has(error.code?.slice(0, 2))) throw error;
  log("error", `database: ${error.message}`);
  throw new HttpError(503, "the database can't be reached", { "Retry-After": "1" });
}
