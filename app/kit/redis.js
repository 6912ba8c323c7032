import { current, refresh } from "./environment.js";
import { createCluster } from "./redis-cluster.js";

// A node that was the primary when the connection was opened, and is a replica now or is becoming one. Redis before 7
// puts its own words in front when a script is refused.
const DEMOTED = /^LOADING|\bREADONLY\b/;
const WRONG_TOKEN = /^WRONGPASS|^NOAUTH|invalid password/;

/**
 * A connection of ioredis that follows a failover and a token that changes.
 *
 * After a failover the primary's name leads to another node, while the connection still reaches the old one, which
 * takes no writes any more: the first refusal makes it connect anew. Each new connection takes the token that the
 * variable holds then. In a cluster it is a client of all its shards, which asks the others who took over.
 * @param {typeof import("ioredis").Redis} Redis
 * @param {import("./redis.d.ts").RedisOptions} [options]
 */
export function createRedis(Redis, { variable = "REDIS_URL", cluster = inCluster(variable), clusterOptions, ...options } = {}) {
  const reconnectOnError = (error) => DEMOTED.test(error.message) || (options.reconnectOnError?.(error) ?? false);
  const onError = (error) => {
    if (WRONG_TOKEN.test(error.message)) refresh();
  };
  if (cluster) {
    const nodes = createCluster(Redis, variable, login, { ...options, reconnectOnError }, clusterOptions);
    return nodes.on("node error", onError).on("error", onError);
  }
  const redis = new Redis(current(variable), {
    ...options,
    reconnectOnError,
    retryStrategy: (attempt) => {
      Object.assign(redis.options, login(current(variable)));
      return options.retryStrategy ? options.retryStrategy(attempt) : Math.min(50 * attempt, 2_000);
    },
  });
  return redis.on("error", onError);
}

/** Of what a machine of Expressway says about REDIS_URL; nothing is known of another variable. */
function inCluster(variable) {
  return variable === "REDIS_URL" && current("REDIS_CLUSTER") === "true";
}

function login(url) {
  if (!URL.canParse(url)) return {};
  const { username, password } = new URL(url);
  return { username: decodeURIComponent(username) || undefined, password: decodeURIComponent(password) || undefined };
}
