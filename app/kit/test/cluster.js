// A real Redis Cluster: three shards, each a primary and a replica, which vote on a failover where a test has them do so.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort, waitUntil } from "../../test/processes.js";
import { redisServer } from "./real.js";

const SHARDS = 3;
const SLOTS = 16_384;
/** How long a node is silent until the others replace it, in milliseconds: on a busy host any of them may be for a while. */
const [QUICK, PATIENT] = [1_000, 30_000];

/** The cluster; at its start `primaries[i]` has the i-th third of the slots, and `replicas[i]` follows it. */
export async function redisCluster() {
  const folder = mkdtempSync(join(tmpdir(), "kit-cluster-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const nodes = await Promise.all(Array.from({ length: 2 * SHARDS }, (_, index) => node(folder, index)));
  const [primaries, replicas] = [nodes.slice(0, SHARDS), nodes.slice(SHARDS)];
  const cluster = { nodes, primaries, replicas };
  const first = (shard) => Math.ceil((shard * SLOTS) / SHARDS);

  await Promise.all(primaries.map((each, shard) => each.ask("ADDSLOTSRANGE", first(shard), first(shard + 1) - 1)));
  for (const [index, each] of nodes.entries()) await each.ask("SET-CONFIG-EPOCH", index + 1);
  for (const each of nodes.slice(1)) await nodes[0].ask("MEET", "127.0.0.1", each.port, each.bus);
  const known = async (each) => (await each.ask("NODES")).trim().split("\n").filter((line) => !line.includes("handshake")).length;
  await all(nodes, async (each) => (await known(each)) === nodes.length, "all know each other");
  await Promise.all(replicas.map((each, shard) => each.ask("REPLICATE", primaries[shard].id)));

  const bear = (silence, those) => Promise.all(those.map(({ redis }) => redis.config("SET", "cluster-node-timeout", silence)));
  /** Have the others replace a node that is gone. */
  cluster.replace = (gone) => bear(QUICK, nodes.filter((each) => each !== gone));

  /** Resolves when all nodes are there, and each shard has a replica that follows; until `replace` none is replaced. */
  cluster.whole = async () => {
    await all(nodes, async (each) => (await each.ask("INFO")).includes("cluster_state:ok"), "the cluster is up");
    await all(nodes, async (each) => !/link_status:down/.test(await each.redis.info("replication")), "replicas follow");
    await all(nodes, async (each) => (await each.ask("SLOTS")).every((range) => range.length === 4), "all know the replicas");
    await bear(PATIENT, nodes);
  };
  await cluster.whole();

  /** The node that has a slot, and the one that follows it, as `asked` knows them. */
  cluster.shard = async (slot, asked = primaries[0]) => {
    const [, , ...members] = (await asked.ask("SLOTS")).find(([from, to]) => from <= slot && slot <= to);
    return members.map(([, port]) => nodes.find((each) => each.port === port));
  };

  /** Move a slot's keys to another shard one by one, as a resharding does; `meanwhile` is awaited when half of them have. */
  cluster.move = async (slot, to, meanwhile = async () => {}) => {
    const [from] = await cluster.shard(slot);
    await to.ask("SETSLOT", slot, "IMPORTING", from.id);
    await from.ask("SETSLOT", slot, "MIGRATING", to.id);
    const keys = await from.ask("GETKEYSINSLOT", slot, 10_000);
    for (const [index, key] of keys.entries()) {
      if (index === Math.ceil(keys.length / 2)) await meanwhile();
      await from.redis.migrate("127.0.0.1", to.port, key, 0, 5_000);
    }
    for (const each of [to, from, ...nodes]) await each.ask("SETSLOT", slot, "NODE", to.id).catch(() => {}); // replicas refuse
    return keys.length;
  };

  /** Let new connections in with a token alone. */
  cluster.protect = async (token) => {
    for (const { redis } of nodes) {
      redis.options.password = token || undefined;
      await redis.config("SET", "requirepass", token, "primaryauth", token);
    }
  };

  cluster.end = async () => {
    for (const each of nodes) each.redis.disconnect();
    await Promise.all(nodes.map((each) => each.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  return cluster;
}

async function node(folder, index) {
  const bus = await freePort();
  const server = await redisServer({
    "cluster-enabled": "yes",
    "cluster-port": bus,
    "cluster-config-file": join(folder, `${index}.conf`),
    "cluster-node-timeout": QUICK,
    "cluster-require-full-coverage": "no",
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
    dir: folder,
  });
  const redis = new Redis(server.port);
  redis.on("error", () => {}); // while it is down
  const ask = (...words) => redis.cluster(...words);
  return Object.assign(server, { redis, bus, ask, id: await ask("MYID") });
}

function all(nodes, condition, what) {
  return waitUntil(async () => (await Promise.all(nodes.map(condition))).every(Boolean), what);
}
