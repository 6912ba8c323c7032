import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";

// How far a caller has written, by database: a position in its log (LSN) as 16 hexadecimal digits, so that the order of
// texts is that of positions. It travels in a cookie, so that the caller's next request finds it on any machine. The
// cookie isn't signed: whoever makes one up sees older rows, or has the primary read for him.

/** Later than any: a write is known to be there, and not where. */
export const LATEST = "f".repeat(16);

const COOKIE = "lsn";
/** How long a browser keeps it, in seconds: far longer than a replica in rotation may lag. */
const MAX_AGE = 600;
/** How many databases' positions are believed: more is not what this made. */
const MOST = 64;

const requests = new AsyncLocalStorage();
const outside = { positions: new Map(), at: 0 }; // what isn't a request's: work of the process itself

// As request.js does it: no middleware is needed.
subscribe("http.server.request.start", ({ request, response }) => {
  requests.enterWith({ positions: parse(request.headers.cookie), response });
});

/**
 * A position as PostgreSQL writes it, 16/B374D848, as 16 digits.
 * @param {string} lsn
 */
export function position(lsn) {
  return lsn
    .split("/")
    .map((half) => half.toLowerCase().padStart(8, "0"))
    .join("");
}

/** How far the caller, or this process outside of requests, has written to `database`; "" when nothing is known. */
export function written(database) {
  const request = requests.getStore();
  if (request) return request.positions.get(database) ?? "";
  if (Date.now() - outside.at > MAX_AGE * 1_000) outside.positions.clear(); // as a browser does
  return outside.positions.get(database) ?? "";
}

/** Remember it, and have the answer that is being made tell the caller. */
export function remember(database, reached) {
  const { positions, response } = requests.getStore() ?? outside;
  const before = positions.get(database) ?? "";
  // A position that is known covers the unknown one before it.
  if (reached <= before && before !== LATEST) return;
  positions.set(database, reached);
  outside.at = Date.now();
  if (!response || response.headersSent) return;
  const others = [response.getHeader("Set-Cookie") ?? []].flat().filter((each) => !each.startsWith(`${COOKIE}=`));
  const value = [...positions].map((each) => each.join(".")).join("~");
  response.setHeader("Set-Cookie", [...others, `${COOKIE}=${value}; Path=/; Max-Age=${MAX_AGE}; HttpOnly; SameSite=Lax`]);
}

function parse(header) {
  const found = header && /(?:^|;\s*)lsn=([\w.~-]+)/.exec(header);
  if (!found) return new Map();
  const pairs = found[1].split("~", MOST).map((each) => each.split("."));
  return new Map(pairs.filter(([name, reached]) => name && /^[0-9a-f]{16}$/.test(reached)));
}
