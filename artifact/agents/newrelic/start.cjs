"use strict";
// New Relic's agent. It reads NEW_RELIC_* by itself.

/** Start it; gives what tells how many events were dropped because its buffers are full. */
module.exports = () => {
  require("newrelic/esm-loader.mjs");
  const { agent } = require("newrelic");
  if (!agent?.collector) throw new Error("New Relic's agent doesn't accept its licence key or its configuration");
  let dropped = 0; // events
  const counted = [agent.transactionEventAggregator, agent.spanEventAggregator, agent.errors.eventAggregator];
  for (const aggregator of counted) {
    const { clear } = aggregator;
    // What didn't fit is forgotten when the rest is sent. What can't be sent comes back, and takes its place again.
    aggregator.clear = function () {
      dropped += this.overflow;
      return clear.call(this);
    };
  }
  return () => counted.reduce((sum, { overflow }) => sum + overflow, dropped);
};
