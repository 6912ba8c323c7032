/**
 * Answer a request for one of the two health paths.
 *
 * Liveness: the process is up. Readiness: it should get traffic, which is so from the moment it has started until it
 * drains. What all servers share (a database, say) counts only at the start: when it fails later, taking every server
 * out at once would turn a partial failure into a total one.
 * @returns {boolean} whether it was one
 */
export function answerHealth(request, response, state, { livenessPath, readinessPath }) {
  const [path] = request.url.split("?", 1);
  if (path === livenessPath) {
    answer(response, 200, { status: "alive" });
  } else if (path === readinessPath) {
    if (state.draining) answer(response, 503, { status: "draining" });
    else if (state.started) answer(response, 200, { status: "ready" });
    else answer(response, 503, { status: "starting" });
  } else {
    return false;
  }
  return true;
}

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(JSON.stringify(body));
}
