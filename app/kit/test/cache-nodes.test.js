// What no real cluster does at a moment of one's choice.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mock, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { Cache } from "@expressway/kit/cache";
import { now } from "../../test/clock.js";
import { FakeRedis } from "../../test/fakes.js";
import { NONE } from "../cache-scripts.js";

/** A cluster of which all slots are at node 1; each command goes to whichever node has them when it is answered. */
class FakeCluster extends FakeRedis {
  isCluster = true;
  slots = Array(16_384).fill(["host:1"]);
  members = new Map();

  constructor() {
    super();
    this.add(1);
    this.add(2, { readOnly: true });
    this.refreshSlotsCache = mock.fn();
    this.claimBelieving = (key, lease) => this.claim(key, "", lease);
    this.get = async () => NONE;
    const { del } = this;
    this.del = (key) => del([key]);
  }

  nodes = () => [...this.members.values()];

  add(port, { readOnly = false, status = "ready" } = {}) {
    const node = Object.assign(new EventEmitter(), { status, options: { host: "host", port, readOnly }, ping: this.ping });
    this.members.set(port, node);
    this.emit("+node", node);
    return node;
  }

  end(port) {
    const node = this.members.get(port);
    this.members.delete(port);
    node.status = "end";
    this.emit("-node", node);
  }

  lead(port) {
    this.members.get(port).options.readOnly = false;
    this.slots = Array(16_384).fill([`host:${port}`]);
  }
}

async function read(cache, value = "new") {
  const found = await cache.read("k", async () => value);
  await turn();
  return `${found.from} ${found.value}`;
}

test("a shard whose connection ended is not asked, and once it is back only when all workers have told it what they wrote", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const cluster = new FakeCluster();
  const [writer, reader] = [new Cache(cluster), new Cache(cluster)];
  assert.equal(await read(writer, "old"), "miss old");

  cluster.end(1);
  await writer.invalidate("k");
  assert.deepEqual([await read(reader), writer.snapshot().owed, reader.snapshot().redis], ["bypass new", 1, "away"]);
  cluster.add(1).emit("ready");

  assert.deepEqual([await read(reader), reader.snapshot().redis], ["bypass new", "settling"], "others may not have told it yet");
  assert.equal(writer.snapshot().owed, 0);
  t.mock.timers.tick(2_600);
  assert.deepEqual([await read(reader), await read(reader)], ["miss new", "hit new"]);
});

test("a write waits for the connection to a shard that was added: other workers may ask that already", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  t.mock.method(performance, "now", now);
  const cluster = new FakeCluster();
  const [writer, reader] = [new Cache(cluster), new Cache(cluster)];
  await read(reader, "old");
  const added = cluster.add(3, { status: "connecting" });
  cluster.slots = Array(16_384).fill(["host:3"]); // with what was there

  const through = mock.fn();
  const written = writer.invalidate("k").then(through);
  await sleep(50);
  assert.deepEqual([cluster.keys.size, through.mock.callCount()], [1, 0]);
  added.status = "ready";
  added.emit("ready");
  await written;

  assert.deepEqual([cluster.keys.size, writer.snapshot().owed], [0, 0]);
});

test("a shard that is away for more than a second is waited for by no write, however often its connection is opened", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const cluster = new FakeCluster();
  const cache = new Cache(cluster);
  cluster.end(1);
  t.mock.timers.tick(900);
  cluster.add(1, { status: "connecting" });
  t.mock.timers.tick(200);

  const began = now();
  await cache.invalidate("k");

  assert.ok(now() - began < 500);
  assert.equal(cache.snapshot().owed, 1);
});

test("a write to a shard that is away and one that isn't tells that once, and waits for neither", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const cluster = new FakeCluster();
  cluster.add(3);
  cluster.slots = cluster.slots.map((owner, slot) => (slot % 2 ? owner : ["host:3"]));
  const cache = new Cache(cluster);
  cluster.end(3);
  t.mock.timers.tick(1_100);
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  const del = mock.method(cluster, "del");

  const began = now();
  await cache.invalidate(...keys);

  assert.ok(now() - began < 500);
  assert.ok(cache.snapshot().owed > 0, "some are of the shard that is away");
  assert.equal(del.mock.callCount(), keys.length - cache.snapshot().owed);
});

test("a replica that leads now is told what the one before was told lately, though its connection was open", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const cluster = new FakeCluster();
  const cache = new Cache(cluster);
  await read(cache, "old");
  const replica = new Map(cluster.keys);
  await cache.invalidate("k");
  cluster.emit("refresh");

  cluster.keys = replica; // it lacks the last write
  cluster.lead(2);

  assert.equal(await read(cache), "bypass new");
  t.mock.timers.tick(2_600);
  assert.equal(await read(cache), "miss new");
});

for (const [what, had] of [["an old value", "old"], ["a lease", null]]) {
  test(`${what} from a node that took over while the command was on its way counts for nothing`, async () => {
    const cluster = new FakeCluster();
    const cache = new Cache(cluster);
    if (had) await read(cache, had);
    cluster.emit("refresh");
    const { claim } = cluster;
    cluster.claim = (...words) => {
      cluster.lead(2); // the demoted node sent the command on
      return claim(...words);
    };

    assert.equal(await read(cache), "bypass new");
    assert.deepEqual([...cluster.keys.values()], had ? [{ value: '"old"' }] : [], "nobody waits for a lease");
  });
}

test("when a connection ends, the others are asked once who has its slots, and not when the client itself ends", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const cluster = new FakeCluster();
  new Cache(cluster);

  cluster.end(1);
  cluster.end(2);
  t.mock.timers.tick(500);
  assert.equal(cluster.refreshSlotsCache.mock.callCount(), 1);

  cluster.add(1);
  cluster.status = "end";
  cluster.end(1);
  t.mock.timers.tick(500);
  assert.equal(cluster.refreshSlotsCache.mock.callCount(), 1);
});

test("a shard is known by its place and its slots, without its address, and those that differ make the whole partial", () => {
  const cluster = new FakeCluster();
  cluster.add(3);
  cluster.slots = cluster.slots.map((owner, slot) => (slot < 10_000 ? owner : ["host:3"]));
  const cache = new Cache(cluster);
  cluster.members.get(3).status = "connecting";

  const { redis, breaker, shards } = cache.snapshot();

  assert.deepEqual([redis, breaker], ["partial", "closed"]);
  assert.deepEqual(shards, {
    0: { redis: "ready", breaker: "closed", slots: 10_000 },
    1: { redis: "away", breaker: "closed", slots: 6_384 },
  });
});
