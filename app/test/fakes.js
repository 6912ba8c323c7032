import { EventEmitter } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { FRESH, THEIRS, YOURS } from "../kit/cache-scripts.js";

/** Redis with the scripts of kit/cache-scripts.js, in memory; each command takes a turn of the event loop. */
export class FakeRedis extends EventEmitter {
  status = "ready";
  keys = new Map();

  claim = (key, _generation, lease) =>
    this.#run(() => {
      const held = this.keys.get(key);
      if (held === undefined) {
        this.keys.set(key, { lease });
        return [YOURS, "", 0];
      }
      return held.lease ? [THEIRS, "", 0, held.lease] : [FRESH, held.value];
    });

  fill = (key, lease, value) =>
    this.#run(() => this.keys.get(key)?.lease === lease && this.keys.set(key, { value }));

  release = (key, lease) => this.#run(() => this.keys.get(key)?.lease === lease && this.keys.delete(key));

  hget = (key, field) => this.#run(() => this.keys.get(key)?.[field] ?? null);

  del = (keys) => this.#run(() => keys.map((key) => this.keys.delete(key)));

  ping = () => this.#run(() => "PONG");

  goAway() {
    this.status = "reconnecting";
    this.emit("close");
  }

  comeBack() {
    this.status = "ready";
    this.emit("ready");
  }

  async #run(command) {
    if (this.status !== "ready") throw new Error("Stream isn't writeable");
    const answer = command(); // in the order of the calls, as on one connection
    await turn();
    return answer;
  }
}

/** Items in memory, counting reads. */
export class FakeStore {
  items = new Map();
  reads = 0;
  #lastId = 0;

  list = async () => this.#read(() => [...this.items.values()].reverse());
  get = async (id) => this.#read(() => this.items.get(id) ?? null);

  async create(item) {
    this.#lastId += 1;
    this.items.set(this.#lastId, { id: this.#lastId, ...item });
    return this.items.get(this.#lastId);
  }

  async update(id, item) {
    if (!this.items.has(id)) return null;
    this.items.set(id, { id, ...item });
    return this.items.get(id);
  }

  async remove(id) {
    const item = this.items.get(id) ?? null;
    this.items.delete(id);
    return item;
  }

  async #read(query) {
    this.reads += 1;
    const rows = query();
    await turn();
    return rows;
  }
}

/** A database of one row, whose reads wait for `open`. */
export function slowRow(value) {
  const row = { value, reads: 0, gates: [] };
  row.load = async () => {
    row.reads += 1;
    const seen = row.value;
    await new Promise((resolve) => row.gates.push(resolve));
    return seen;
  };
  row.open = () => row.gates.splice(0).forEach((open) => open());
  return row;
}
