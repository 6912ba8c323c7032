import { createDatabase } from "@expressway/kit/database";
import pg from "pg";
import { HttpError } from "./errors.js";
import { log } from "./log.js";

// SQLSTATE classes in which the database, not the statement, is at fault: connection, resources, operator, system.
const UNAVAILABLE = new Set(["08", "53", "57", "58"]);

/**
 * The primary, and replicas where there are any, whose passwords may change meanwhile: with N servers of W workers, each
 * PostgreSQL sees up to N * W * (poolMax + 1) connections. With sslmode=verify-full in the address, TLS with the certificate
 * and its name checked, against sslrootcert where that is given.
 * @param {string | number} [poolMax] connections per worker and server, 5
 */
export function connectDatabase(poolMax = 5) {
  const database = createDatabase(pg, {
    pool: { max: Number(poolMax) || 5, application_name: "expressway-app", requestIds: true },
    patience: 2_000, // a client is told sooner, and may ask again
    log: (message) => log("error", message),
  });

  return {
    /** Rows of one prepared statement that changes nothing, from a server that has come as far as `after`. */
    async read(name, text, values, after) {
      const result = await database.read({ name, text, values }, undefined, { after }).catch(refine);
      return result.rows;
    },

    /** Rows of one prepared statement. */
    async write(name, text, values) {
      const result = await database.write({ name, text, values }).catch(refine);
      return result.rows;
    },

    /** Run statements in one transaction. */
    async transaction(statements) {
      await database
        .write(async (client) => {
          for (const statement of statements) await client.query(statement);
        })
        .catch(refine);
    },

    /** How far the caller has written. */
    position: () => database.position(),

    snapshot: () => database.snapshot(),

    end: () => database.end(),
  };
}

function refine(error) {
  if (error instanceof pg.DatabaseError && !UNAVAILABLE.has(error.code?.slice(0, 2))) throw error;
  log("error", `database: ${error.message}`);
  throw new HttpError(503, "the database can't be reached", { "Retry-After": "1" });
}
