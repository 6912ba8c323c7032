/** How many samples of the primary are kept: a minute's, at two a second. */
const KEPT = 120;

/**
 * How long ago the primary was where a replica is, by positions alone: a replica whose sender is gone says itself that
 * there is nothing left to replay, and clocks differ.
 */
export class Lag {
  #samples = []; // {at, reached}, in order of both
  #asked = 0; // when the primary last said

  /** The primary's log goes as far as `reached` now. */
  primaryAt(reached, at = performance.now()) {
    const last = this.#samples.at(-1);
    if (reached === "") return;
    this.#asked = at;
    if (reached === last?.reached) return;
    // Another server may have taken over with less.
    if (last && reached < last.reached) this.#samples = [];
    this.#samples.push({ at, reached });
    if (this.#samples.length > KEPT) this.#samples.shift();
  }

  /**
   * @param {string} reached how far a replica has replayed
   * @returns {number | null} for how many milliseconds the primary has been seen to have more; null: nobody knows, or longer.
   * It doesn't grow while the primary is gone: its replicas have what there is then, and are to be read.
   */
  of(reached) {
    if (reached === "" || this.#samples.length === 0) return null;
    if (reached < this.#samples[0].reached) return null;
    const missing = this.#samples.find((sample) => sample.reached > reached);
    return missing ? Math.round(this.#asked - missing.at) : 0;
  }
}
