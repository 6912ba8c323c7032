"use strict";
// Datadog's tracer. It reads DD_* by itself, and tells Datadog's intake, or a Datadog Agent that the team runs.

const { subscribe } = require("node:diagnostics_channel");

/** Start it; gives what tells how many traces were dropped. Requests for the `quiet` paths are not traced. */
module.exports = ({ quiet, endpoint }) => {
  require("dd-trace/register.js");
  const tracer = require("dd-trace").init();
  tracer.use("http", { server: { blocklist: quiet } });
  const exporter = tracer._tracer._exporter;
  // Of its own, it finds the intake by Datadog's site.
  if (endpoint && process.env.DD_AGENTLESS_ENABLED) exporter.setUrl(endpoint);
  return count(exporter._writer);
};

// The tracer says of a payload only that it is done with it: told or not is what the HTTP answer says.
function count(writer) {
  let taken = 0; // traces that the writer is done with
  let told = 0;
  const { append, flushDirect, _sendPayload: send } = writer;
  writer.append = function (...given) {
    const kept = append.apply(this, given);
    if (kept === false) taken += 1; // too much is under way already
    return kept;
  };
  writer.flushDirect = function (...given) {
    const traces = this._encoder.count();
    let sent = false;
    this._sendPayload = function (data, traces, done, ...rest) {
      sent = true;
      return send.call(this, data, traces, (...answer) => ((taken += traces), done(...answer)), ...rest);
    };
    flushDirect.apply(this, given);
    if (!sent) taken += traces;
  };
  subscribe("http.client.response.finish", ({ request, response }) => {
    const traces = Number(request.getHeader("x-datadog-trace-count") ?? 0);
    if (response.statusCode < 300) told += traces;
  });
  return () => Math.max(0, taken - told);
}
