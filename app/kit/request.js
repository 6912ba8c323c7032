import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";

/** What the edge makes; it overwrites what a client sends. Nothing in it needs quoting, in SQL or in JSON. */
const ID = /^[A-Za-z0-9._-]{8,64}$/;

const current = new AsyncLocalStorage();

// Node says so for each request of every HTTP server of this process, before the app's own handler runs and in the
// same turn, so that all that the handler begins is in the request's context: no middleware is needed for it.
subscribe("http.server.request.start", ({ request }) => {
  const id = request.headers["x-request-id"];
  current.enterWith(ID.test(id) ? id : undefined);
});

/**
 * The id of the request that is being answered, which the edge logs and tells the client as X-Request-ID.
 * @returns {string | undefined} undefined outside of requests, and for one that came without an id
 */
export function requestId() {
  return current.getStore();
}

/**
 * A statement with the request's id in a comment, in the format of sqlcommenter, so that PostgreSQL's log has it.
 * @param {string} statement
 * @returns {string} the statement as it is outside of requests
 */
export function commented(statement) {
  const id = requestId();
  return id ? `${statement} /*request_id='${id}'*/` : statement;
}
