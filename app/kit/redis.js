import { current, refresh } from "./environment.js";

// A node that was the primary when the connection was opened, and is a replica now or is becoming one. Redis before 7
// puts its own words in front when a script is refused.
const DEMOTED = /^LOADING|\bREADONLY\b/;
const WRONG_TOKEN = /^WRONGPASS|^NOAUTH|invalid password/;

/**
 * A connection of ioredis that follows a failover and a token that changes.
 *
 * After a failover the primary's name leads to another node, while the connection still reaches the old one, which
 * takes no writes any more: the first refusal makes it connect anew. Each new connection takes the token that the
 * variable holds then.
 * @param {typeof import("ioredis").Redis} Redis
 * @param {import("./redis.d.ts").RedisOptions} [options]
 */
export function createRedis(Redis, { variable = "REDIS_URL", ...options } = {}) {
  const redis = new Redis(current(variable), {
    ...options,
    reconnectOnError: (error) => DEMOTED.test(error.message) || (options.reconnectOnError?.(error) ?? false),
    retryStrategy: (attempt) => {
      Object.assign(redis.options, login(current(variable)));
      return options.retryStrategy ? options.retryStrategy(attempt) : Math.min(50 * attempt, 2_000);
    },
  });
  redis.on("error", (error) => {
    if (WRONG_TOKEN.test(error.message)) refresh();
  });
  return redis;
}

function login(url) {
  if (!URL.canParse(url)) return {};
  const { username, password } = new URL(url);
  return { username: decodeURIComponent(username) || undefined, password: decodeURIComponent(password) || undefined };
}
