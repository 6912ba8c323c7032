"use strict";
// OpenTelemetry's SDK: traces over OTLP/HTTP, for OpenTelemetry itself and for AppDynamics. It reads OTEL_* by itself.

const { register } = require("node:module");
const { pathToFileURL } = require("node:url");
const { getNodeAutoInstrumentations } = require("@opentelemetry/auto-instrumentations-node");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { NodeSDK, resources, tracing } = require("@opentelemetry/sdk-node");
const hooks = require("import-in-the-middle/register-hooks.mjs");

// Spans of what each request does many times over; what machines measure by themselves.
const OFF = ["dns", "fs", "net", "host-metrics", "runtime-node"];

let dropped = 0; // spans

class Exporter extends OTLPTraceExporter {
  export(spans, done) {
    super.export(spans, (result) => {
      if (result.code !== 0) dropped += spans.length;
      done(result);
    });
  }
}

class Processor extends tracing.BatchSpanProcessor {
  onEnd(span) {
    const before = this._droppedSpansCount;
    super.onEnd(span);
    if (this._droppedSpansCount > before) dropped += 1; // its queue is full
  }
}

/** Start it; gives what tells how many spans were dropped. Requests for the `quiet` paths are not traced. */
module.exports = ({ quiet }) => {
  // In this thread where Node can: one less for each worker.
  if (hooks.supportsSyncHooks()) hooks.register();
  else register("@opentelemetry/instrumentation/hook.mjs", pathToFileURL(__filename));
  const off = OFF.map((name) => [`@opentelemetry/instrumentation-${name}`, { enabled: false }]);
  new NodeSDK({
    instrumentations: getNodeAutoInstrumentations({
      ...Object.fromEntries(off),
      "@opentelemetry/instrumentation-http": {
        ignoreIncomingRequestHook: ({ url }) => quiet.includes(url.split("?", 1)[0]),
      },
      // A span for each middleware of each request would be most of them.
      "@opentelemetry/instrumentation-express": { ignoreLayersType: ["middleware"] },
    }),
    resourceDetectors: [resources.envDetector], // the machine says who it is
    spanProcessors: [new Processor(new Exporter())],
  }).start();
  return () => dropped;
};
