import { createRedis } from "@expressway/kit/redis";
import { Redis } from "ioredis";
import { log } from "./log.js";

// A key holds either a value or the lease of whoever is reading it from the database. Each step is one script, so that
// Redis itself puts readers and writers in order.
const SCRIPTS = {
  // Writing comes first, so that a node which a failover has demoted refuses: what it has may be old.
  claim: `
    if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
    return redis.call('GET', KEYS[1])`,
  fill: `
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1`,
  release: `
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    return redis.call('DEL', KEYS[1])`,
};

/** A connection on REDIS_URL that fails fast while Redis is away, and comes back by itself, on another node if need be. */
export function connectRedis() {
  const redis = createRedis(Redis, {
    enableOfflineQueue: false, // a cache that must be waited for is no cache
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: 250,
    connectTimeout: 1_000,
    socketTimeout: 2_000, // silence while an answer is due: drop the connection and open another
    retryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
  });
  for (const [name, lua] of Object.entries(SCRIPTS)) redis.defineCommand(name, { numberOfKeys: 1, lua });

  // One line when it goes and one when it is back, not one per attempt.
  let reachable = true;
  redis.on("error", (error) => {
    if (reachable) log("error", `cache unavailable, reading from the database: ${error.message}`);
    reachable = false;
  });
  redis.on("ready", () => {
    if (!reachable) log("error", "cache available again");
    reachable = true;
  });
  return redis;
}
