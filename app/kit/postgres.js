import { setTimeout as sleep } from "node:timers/promises";
import { current, refresh } from "./environment.js";
import { commented, requestId } from "./request.js";

/** SQLSTATE of a password that PostgreSQL refuses: at the start of a session, before it is told anything. */
const WRONG_PASSWORD = "28P01";
/** What PgBouncer says of one, which has a SQLSTATE of its own for no refusal. */
const WRONG_AT_PGBOUNCER = "SASL authentication failed";
/** How long a connection may wait for the password that counts now; in milliseconds. */
const PATIENCE = 5_000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 500;

/**
 * A pool of node-postgres whose password may change while it is in use.
 *
 * Each new connection takes the address and the password that the variable holds then; those that are open go on. A
 * connection whose password is refused asks the machine for the new one and is tried again for a while: nothing has been
 * sent on it, so this is safe for writes too.
 * @param {typeof import("pg")} pg
 * @param {import("./postgres.d.ts").PoolOptions} [options]
 */
export function createPool(
  pg,
  {
    variable = "DATABASE_URL",
    address = () => current(variable),
    patience = PATIENCE,
    requestIds = false,
    ...options
  } = {},
) {
  class Client extends pg.Client {
    constructor(given) {
      super({ ...given, connectionString: address() });
    }

    query(statement, ...rest) {
      return super.query(requestIds ? withRequestId(statement) : statement, ...rest);
    }
  }

  class Pool extends pg.Pool {
    #refusedSince = null;

    constructor() {
      super({ ...options, Client });
      this.on("connect", () => {
        this.#refusedSince = null;
      });
    }

    connect(callback) {
      const connected = this.#connect();
      if (!callback) return connected;
      connected.then(
        (client) => callback(undefined, client, client.release),
        (error) => callback(error, undefined, () => {}),
      );
    }

    async #connect() {
      const deadline = Date.now() + patience;
      for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
        try {
          return await super.connect();
        } catch (error) {
          if (!isRefusal(error)) throw error;
          this.#refusedSince ??= Date.now();
          // A password that stays wrong must not make every request wait anew.
          if (Date.now() > Math.min(deadline, this.#refusedSince + patience)) throw error;
          if (!(await refresh())) throw error;
        }
        await sleep(pause);
      }
    }
  }

  return new Pool();
}

function isRefusal(error) {
  return error.code === WRONG_PASSWORD || error.message === WRONG_AT_PGBOUNCER;
}

function withRequestId(statement) {
  if (typeof statement === "string") return commented(statement);
  // A cursor or a stream is as its own library made it.
  if (!requestId() || typeof statement?.text !== "string" || statement.submit) return statement;
  // A name stands for one text, and this one is new with each request.
  const { name: _name, ...unnamed } = statement;
  return { ...unnamed, text: commented(statement.text) };
}
