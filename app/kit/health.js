import { snapshots } from "./metrics.js";

/**
 * Answer a request for one of the two health paths.
 *
 * Liveness: the process is up. Readiness: it should get traffic, which is so from the moment it has started until it
 * drains. What all servers share (a database, say) counts only at the start: when it fails later, taking every server
 * out at once would turn a partial failure into a total one. With ?verbose readiness also says how the app's parts are, as
 * this process sees them, which changes nothing about the status.
 * @returns {boolean} whether it was one
 */
export function answerHealth(request, response, state, { livenessPath, readinessPath, parts = {} }) {
  const [path, query] = request.url.split("?", 2);
  if (path === livenessPath) {
    answer(response, 200, { status: "alive" });
  } else if (path === readinessPath) {
    const more = new URLSearchParams(query).has("verbose") ? { parts: snapshots(parts) } : {};
    if (state.draining) answer(response, 503, { status: "draining", ...more });
    else if (state.started) answer(response, 200, { status: "ready", ...more });
    else answer(response, 503, { status: "starting", ...more });
  } else {
    return false;
  }
  return true;
}

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(JSON.stringify(body));
}
