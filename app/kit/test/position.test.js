import assert from "node:assert/strict";
import { test } from "node:test";
import { LATEST, position, remember, written } from "../position.js";

test("outside of requests a process knows how far it wrote, by database", () => {
  assert.equal(written("one"), "");

  remember("one", position("0/A0"));
  remember("two", position("1/0"));
  remember("one", position("0/9F"));

  assert.deepEqual([written("one"), written("two")], ["00000000000000a0", "0000000100000000"]);
});

test("a position that isn't known is later than any, until the next one is known", () => {
  remember("lost", position("0/A0"));
  remember("lost", LATEST);
  assert.ok(written("lost") > position("FFFFFFF0/0"));

  remember("lost", position("0/B0"));
  assert.equal(written("lost"), position("0/B0"));
});

test("what was written long ago doesn't count", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  remember("old", LATEST);

  t.mock.timers.tick(601_000);

  assert.equal(written("old"), "");
});
