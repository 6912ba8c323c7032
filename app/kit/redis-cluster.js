import { current } from "./environment.js";

/**
 * A client of ioredis for Redis in cluster mode, from the one address that leads to any of its nodes. It reads from
 * primaries, and finds out by itself where a slot has gone.
 *
 * The nodes are known by the names that the cluster tells, unresolved, as their certificates have them; ElastiCache tells
 * names where it has TLS. A command waits out a failover for 20 s at most: ElastiCache calls a node dead after 15 s.
 * @param {typeof import("ioredis").Redis} Redis
 * @param {string} variable holds the address
 * @param {(url: string) => {username?: string, password?: string}} login
 * @param {object} options as a single connection has them
 * @param {import("ioredis").ClusterOptions} [clusterOptions]
 * @returns {import("ioredis").Cluster}
 */
export function createCluster(Redis, variable, login, options, clusterOptions) {
  const url = current(variable);
  if (!URL.canParse(url)) throw new TypeError(`${variable} must be a cluster's address, like rediss://:token@host:6379`);
  const { protocol, hostname, port } = new URL(url);
  const { retryStrategy = (attempt) => Math.min(50 * attempt, 2_000), ...both } = options;
  const cluster = new Redis.Cluster([{ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || 6379 }], {
    dnsLookup: (address, callback) => callback(null, address),
    slotsRefreshInterval: 30_000,
    retryDelayOnFailover: 200,
    retryDelayOnClusterDown: 200,
    maxRedirections: 100,
    clusterRetryStrategy: retryStrategy,
    ...both, // what is a connection's is nothing to the cluster, and the reverse
    ...clusterOptions,
    redisOptions: { ...(protocol === "rediss:" && { tls: {} }), ...both, ...clusterOptions?.redisOptions },
  });
  // Before it connects, and for the connections that are made after its likeness, to ask for the topology.
  cluster.on("+node", ({ options: own }) => {
    for (const name of ["username", "password"]) {
      Object.defineProperty(own, name, { get: () => login(current(variable))[name], enumerable: true, configurable: true });
    }
  });
  return cluster;
}
