import assert from "node:assert/strict";
import { test } from "node:test";
import { metrics } from "@expressway/kit/metrics";

test("parts are told in Prometheus' text format, each name once", () => {
  const cache = { snapshot: () => ({ breaker: "open", hits: 3, redisErrors: 1 }) };
  const node = { up: true, lag: null };
  const database = { snapshot: () => ({ primary: node, replicas: [{ ...node, up: false, lag: 12 }], hits: 0 }) };

  assert.deepEqual(metrics({ cache, database }).split("\n").filter(Boolean), [
    "# TYPE expressway_kit_breaker untyped",
    'expressway_kit_breaker{part="cache",is="open"} 1',
    "# TYPE expressway_kit_hits untyped",
    'expressway_kit_hits{part="cache"} 3',
    'expressway_kit_hits{part="database"} 0',
    "# TYPE expressway_kit_redis_errors untyped",
    'expressway_kit_redis_errors{part="cache"} 1',
    "# TYPE expressway_kit_up untyped",
    'expressway_kit_up{part="database",of="primary"} 1',
    'expressway_kit_up{part="database",of="replicas.0"} 0',
    "# TYPE expressway_kit_lag untyped",
    'expressway_kit_lag{part="database",of="replicas.0"} 12',
  ]);
});

test("what has no snapshot is named", () => {
  assert.throws(() => metrics({ cache: {} }), /the part cache has no snapshot/);
});
