import type { Cluster, Redis } from "ioredis";

/** What a single read may say otherwise. All times in milliseconds. */
export interface ReadOptions {
  /** How long a value is handed out, at most. Default: 60000. */
  ttl?: number;
  /** The same for null and undefined: what isn't there; never longer than `ttl`. Default: 10000. */
  negativeTtl?: number;
  /** The share of the ttl that is taken off by chance, so that values don't expire together: 0 to 1. Default: 0.1. */
  jitter?: number;
  /** How long after its ttl a value is still handed out, while one reader reads a new one. Default: 0. */
  staleWhileRevalidate?: number;
  /** How long after its ttl a value is handed out when `load` fails. Default: 0. */
  staleIfError?: number;
  /** How long others leave a read of the database to whoever began it: longer than one takes. Default: 5000. */
  lease?: number;
  /** How long a reader waits for another's read before it reads the database too. Default: 3000. */
  wait?: number;
  /**
   * How long this process keeps what it read while Redis is away. Others' writes aren't seen that long, so it is 0
   * (parallel reads of a key share one, later ones don't) unless that is all right. Default: 0.
   */
  outageTtl?: number;
}

export interface CacheSettings extends ReadOptions {
  /** What the keys of this cache begin with in Redis. Default: cache. */
  namespace?: string;
  /** Part of each key: another number or text for values of another shape, so that two releases don't mix. Default: 1. */
  version?: number | string;
  /** How long Redis may take to answer a read. Default: 200. */
  timeout?: number;
  /** How many answers in a row must fail or be late until Redis isn't asked. Default: 5. */
  failures?: number;
  /**
   * How far the caller has written to the database whose rows are cached: `database.position` of `@expressway/kit/database`.
   * Then `load` is told how far a replica must have come for its rows to count. Without replicas it isn't needed. Default: "".
   */
  position?: () => string;
  /** How long it then isn't asked, in milliseconds; up to five times as long while it stays so. Default: 1000. */
  pause?: number;
}

export interface CacheOptions extends CacheSettings {
  /** The variable that holds Redis's address, with the token. Default: REDIS_URL. */
  variable?: string;
  /** Whether that is a cluster's. Default: for REDIS_URL whether REDIS_CLUSTER is "true", else false. */
  cluster?: boolean;
  /** Takes one line when Redis goes and one when it is back. Default: console.log. */
  log?: (message: string) => void;
}

export interface Found<T> {
  /** null where `load` had undefined. Parallel readers may get one and the same object. */
  value: T;
  /** hit: from Redis, or from another's read; miss: read now; stale: older than its ttl; bypass: read without Redis. */
  from: "hit" | "miss" | "stale" | "bypass";
}

/** What one process has seen since it began. */
export interface CacheSnapshot {
  /**
   * settling: back a moment ago, and not asked until all workers have told it what they wrote meanwhile; partial: the shards
   * of a cluster differ.
   */
  redis: "off" | "ready" | "away" | "settling" | "partial";
  /** Of a cluster: the worst of its shards'. */
  breaker: "closed" | "open" | "half-open";
  /** How many invalidations Redis hasn't heard of. */
  owed: number;
  hits: number;
  misses: number;
  stale: number;
  bypassed: number;
  /** Reads of the database. */
  loads: number;
  loadErrors: number;
  /** Answers of Redis that failed or were late. */
  redisErrors: number;
  invalidations: number;
  /** Of a cluster: each shard by its place in the order of their lowest slots, and how many of the 16384 slots it has. */
  shards?: Record<string, Pick<CacheSnapshot, "breaker"> & { redis: "ready" | "away" | "settling"; slots: number }>;
}

export class Cache {
  /** @param redis a connection that has the cache's scripts, as createCache makes it; null: without Redis */
  constructor(redis: Redis | Cluster | null, options?: CacheSettings);
  /**
   * The value under a key; on a miss what `load` has, once for all workers of all machines. Values are kept as JSON. `load` is
   * given the position (`after` of a read) that a write of the key told, or "".
   */
  get<T>(key: string, load: (after: string) => Promise<T>, options?: ReadOptions): Promise<T>;
  /** As `get`, and where the value came from. */
  read<T>(key: string, load: (after: string) => Promise<T>, options?: ReadOptions): Promise<Found<T>>;
  /** Forget keys, after the write that they depend on is committed. Made up for later while Redis is away. */
  invalidate(...keys: string[]): Promise<void>;
  /** Forget all keys of this namespace and version, on all machines. */
  invalidateAll(): Promise<void>;
  snapshot(): CacheSnapshot;
  /** Let go of the connection. */
  close(): void;
}

/**
 * A cache on the Redis that REDIS_URL names (`import { Redis } from "ioredis"`). Without that variable there is no cache,
 * and parallel reads of a key within this process still share one.
 * @throws TypeError when an option isn't one, or out of its bounds
 */
export function createCache(Client: typeof Redis, options?: CacheOptions): Cache;
