import { requestId } from "@expressway/kit/request";

/** From how many milliseconds on an answer is worth a line. */
export const SLOW = 1_000;

/**
 * One line of JSON, with the id of the request that it is about.
 * @param {"info" | "warn" | "error"} level
 * @param {string} message
 * @param {Record<string, unknown>} [fields]
 */
export function log(level, message, fields = {}) {
  const line = JSON.stringify({ time: new Date().toISOString(), level, message, request_id: requestId(), ...fields });
  if (level === "error") console.error(line);
  else console.log(line);
}

/** Middleware: a line for each answer that is the server's failure or slow. The edge logs the others. */
export function logTrouble(request, response, next) {
  const began = performance.now();
  const { method, path } = request;
  response.on("finish", () => {
    const milliseconds = Math.round(performance.now() - began);
    if (response.statusCode >= 500 || milliseconds >= SLOW) {
      log(response.statusCode >= 500 ? "error" : "warn", "answered", {
        method,
        path,
        status: response.statusCode,
        milliseconds,
      });
    }
  });
  next();
}
