import type { Redis, RedisOptions as IoRedisOptions } from "ioredis";

export interface RedisOptions extends Omit<IoRedisOptions, "host" | "port" | "username" | "password"> {
  /** The variable that holds the address, with the token. Default: REDIS_URL. */
  variable?: string;
}

/**
 * A connection of ioredis (`import { Redis } from "ioredis"`) that follows a failover (a demoted node answers READONLY)
 * and a token that changes.
 */
export function createRedis(Client: typeof Redis, options?: RedisOptions): Redis;
