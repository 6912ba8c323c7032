import { crc32 } from "node:zlib";

/** How many slots of a cluster a cache's keys are spread over: many for each shard, few enough to forget all at once. */
const BUCKETS = 1024;

/**
 * What keys are called in Redis, and which keys say what counts of them (generations).
 *
 * On one node a namespace and version has one generation. In a cluster each bucket of its keys has one, with the same hash
 * tag, hence on the same shard: else every read of every key would ask the one shard that has the generation.
 */
export class Keys {
  #root;
  #clustered;

  /**
   * @param {string} root the namespace and version
   * @param {boolean} clustered
   * @throws TypeError when it has braces, in a cluster
   */
  constructor(root, clustered) {
    if (clustered && /[{}]/.test(root)) {
      throw new TypeError(`in a cluster a cache's namespace and version can't have braces, which group keys: ${root}`);
    }
    this.#root = root;
    this.#clustered = clustered;
  }

  /** What `key` is called. */
  name(key) {
    return this.#clustered ? `${this.#bucket(crc32(key) % BUCKETS)}:${key}` : `${this.#root}:${key}`;
  }

  /** The generation of what is called `name`. */
  generation(name) {
    return this.#clustered ? name.slice(0, name.indexOf("}") + 1) : this.#root;
  }

  isGeneration(name) {
    return this.#clustered ? name.endsWith("}") && this.generation(name) === name : name === this.#root;
  }

  /** All of them. */
  generations() {
    return this.#clustered ? Array.from({ length: BUCKETS }, (_, bucket) => this.#bucket(bucket)) : [this.#root];
  }

  #bucket(number) {
    return `{${this.#root}:${number}}`;
  }
}

/** The slot of a cluster that a key is in, by the rule of Redis Cluster's specification: CRC16 (XMODEM) of its hash tag. */
export function slotOf(key) {
  const from = key.indexOf("{");
  const to = key.indexOf("}", from + 1);
  const tag = from !== -1 && to > from + 1 ? key.slice(from + 1, to) : key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc & 0x8000 ? 0x1021 : 0) ^ (crc << 1)) & 0xffff;
  }
  return crc % 16_384;
}
