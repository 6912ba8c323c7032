// What a key holds in Redis is one hash: `value` (JSON, or empty while there is none), `fresh` (until when it may be
// handed out as it is), `generation` (of the namespace, when it was read), and, while somebody reads it from the
// database, `lease` (whose) and `until` (when that ends); and `after`, how far the database must have come for what is
// read there to count, where a write said so: a replica may be behind it. Each step is one script, so that Redis itself puts readers and
// writers in order; all times are Redis's own, in milliseconds, so that the machines' clocks don't count.

const NOW = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** The answers of `claim`. */
export const FRESH = 0; // take it
export const YOURS = 1; // read the database; with what is there meanwhile
export const THEIRS = 2; // somebody does; with the lease, and what is there meanwhile
export const UNSURE = 3; // it is of another generation than was believed

/** The generation before anything was ever forgotten. */
export const NONE = "0";

// KEYS: the key. ARGV: a lease, how long it lasts.
// Returns: one of the above, the value, how long ago it ceased to be fresh, the lease that holds, how far the database
// must have come.
// Writing comes first, though mostly it changes nothing, so that a node which a failover has demoted refuses: what it
// has may be old. Whoever holds the lease may ask again: in a cluster one claim may take two commands.
const claim = (generation) => `
      redis.call('HSETNX', KEYS[1], 'value', '')
      local held = redis.call('HMGET', KEYS[1], 'value', 'fresh', 'generation', 'lease', 'until', 'after')
      ${generation}
      ${NOW}
      local value, late = held[1], 0
      if value == '' or held[3] ~= generation then
        value = ''
      else
        late = now - held[2]
        if late < 0 then return {${FRESH}, value} end
      end
      if held[4] and held[4] ~= ARGV[1] and now < tonumber(held[5]) and held[3] == generation then
        return {${THEIRS}, value, late, held[4]}
      end
      redis.call('HSET', KEYS[1], 'lease', ARGV[1], 'until', now + ARGV[2])
      if value == '' then redis.call('HSET', KEYS[1], 'value', '', 'generation', generation) end
      if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
      local after, floor = held[6] or '', string.match(generation, '@(%x*)') or ''
      if floor > after then after = floor end
      return {${YOURS}, value, late, ARGV[1], after}`;

export const SCRIPTS = {
  // KEYS[2]: the namespace's generation.
  claim: { numberOfKeys: 2, lua: claim(`local generation = redis.call('GET', KEYS[2]) or '${NONE}'`) },
  // In a cluster. ARGV[3]: the generation as the caller believes it to be; ARGV[4]: 1 if it was read a moment ago.
  // The generation isn't a key of this: while their slot moves to another shard, its keys move one by one, and a command of two
  // keys is refused until both have (TRYAGAIN).
  claimBelieving: {
    numberOfKeys: 1,
    lua: claim(`local generation = ARGV[3]
      if held[3] and held[3] ~= generation and ARGV[4] ~= '1' then return {${UNSURE}} end`),
  },
  // KEYS: the key. ARGV: the lease, the value, how long it is fresh, how long it is kept. The generation stays that of the
  // claim: what was read before all was forgotten doesn't count.
  fill: {
    numberOfKeys: 1,
    lua: `
      if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return 0 end
      ${NOW}
      redis.call('HSET', KEYS[1], 'value', ARGV[2], 'fresh', now + ARGV[3])
      redis.call('HDEL', KEYS[1], 'lease', 'until')
      redis.call('PEXPIRE', KEYS[1], ARGV[4])
      return 1`,
  },
  // KEYS: the key. ARGV: how far the database must have come, how long that is kept: longer than any replica that is read
  // may be behind.
  forget: {
    numberOfKeys: 1,
    lua: `
      local after = redis.call('HGET', KEYS[1], 'after') or ''
      if ARGV[1] > after then after = ARGV[1] end
      redis.call('DEL', KEYS[1])
      redis.call('HSET', KEYS[1], 'value', '', 'after', after)
      return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  },
  // KEYS: the key. ARGV: the lease.
  release: {
    numberOfKeys: 1,
    lua: `
      local held = redis.call('HMGET', KEYS[1], 'lease', 'value', 'after')
      if held[1] ~= ARGV[1] then return 0 end
      if held[2] == '' and not held[3] then return redis.call('DEL', KEYS[1]) end
      return redis.call('HDEL', KEYS[1], 'lease', 'until')`,
  },
};
