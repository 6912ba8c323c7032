import type { Cluster, ClusterOptions, Redis, RedisOptions as IoRedisOptions } from "ioredis";

export interface RedisOptions extends Omit<IoRedisOptions, "host" | "port" | "username" | "password"> {
  /** The variable that holds the address, with the token. Default: REDIS_URL. */
  variable?: string;
  /**
   * Whether the address is a cluster's (its configuration endpoint). Default: for REDIS_URL whether REDIS_CLUSTER is "true",
   * else false.
   */
  cluster?: boolean;
  /** What only ioredis' Cluster has, over the kit's own: in a cluster. */
  clusterOptions?: ClusterOptions;
}

/**
 * A client of all shards of a cluster, with the other options for each of its connections.
 * @throws TypeError when the variable holds no address
 */
export function createRedis(Client: typeof Redis, options: RedisOptions & { cluster: true }): Cluster;
/**
 * A connection of ioredis (`import { Redis } from "ioredis"`) that follows a failover (a demoted node answers READONLY)
 * and a token that changes. In a cluster a Cluster, which has the same commands; of several keys only those in one slot.
 */
export function createRedis(Client: typeof Redis, options?: RedisOptions): Redis;
