import assert from "node:assert/strict";
import { test } from "node:test";
import { Lag } from "../lag.js";
import { position } from "../position.js";

test("positions as texts are in the order of the log", () => {
  const inOrder = ["0/9", "0/10", "0/FFFFFFFF", "1/0", "1/A", "10/0", "FF/1"];

  assert.deepEqual([...inOrder.map(position)].sort(), inOrder.map(position));
});

test("lag is how long the primary has had what a replica hasn't", () => {
  const lag = new Lag();
  lag.primaryAt("10", 1_000);
  lag.primaryAt("20", 2_000);
  lag.primaryAt("20", 3_000);
  lag.primaryAt("30", 4_000);

  assert.equal(lag.of("30"), 0);
  assert.equal(lag.of("31"), 0, "asked a moment later");
  assert.equal(lag.of("25"), 0, "what is missing has just been written");
  assert.equal(lag.of("10"), 2_000);
});

test("nothing is known of who is behind all that was seen, and before anything was", () => {
  const lag = new Lag();
  assert.equal(lag.of("10"), null);
  lag.primaryAt("10", 1_000);
  assert.equal(lag.of("09"), null);
  assert.equal(lag.of(""), null);
});

test("an idle primary makes nobody lag, and one that is gone makes nobody lag more", () => {
  const lag = new Lag();
  lag.primaryAt("10", 1_000);
  lag.primaryAt("20", 2_000);
  lag.primaryAt("20", 90_000);

  assert.equal(lag.of("20"), 0);
  assert.equal(lag.of("10"), 88_000);
  lag.primaryAt("", 99_000);
  assert.equal(lag.of("10"), 88_000);
});

test("after a failover to a server with less, what was seen before doesn't count", () => {
  const lag = new Lag();
  lag.primaryAt("10", 1_000);
  lag.primaryAt("30", 2_000);
  lag.primaryAt("20", 3_000);

  assert.equal(lag.of("20"), 0);
  assert.equal(lag.of("10"), null);
});
