import { BrokenCircuitError, CircuitState, circuitBreaker, ConsecutiveBreaker, ExponentialBackoff, handleWhen } from "cockatiel";

const NAMES = { [CircuitState.Closed]: "closed", [CircuitState.Open]: "open", [CircuitState.HalfOpen]: "half-open" };

/**
 * A circuit breaker that nobody waits for: while it is open, and while one call tries whether it may close, all others
 * fail at once.
 */
export class Breaker {
  #policy;
  #options;

  /**
   * @param {{failures: number, pause: number, longestPause: number, counts?: (error: Error) => boolean}} options how many
   * failures in a row open it, for how many milliseconds, and which errors are failures
   */
  constructor(options) {
    this.#options = options;
    this.reset();
  }

  /** @returns {"closed" | "open" | "half-open"} */
  get state() {
    return NAMES[this.#policy.state];
  }

  /** Forget what failed: the other side has just shown that it is there. */
  reset() {
    const { failures, pause, longestPause, counts = () => true } = this.#options;
    this.#policy = circuitBreaker(handleWhen(counts), {
      breaker: new ConsecutiveBreaker(failures),
      halfOpenAfter: new ExponentialBackoff({ initialDelay: pause, maxDelay: longestPause }),
    });
  }

  /**
   * @template T
   * @param {() => Promise<T>} call
   * @returns {Promise<T>}
   */
  run(call) {
    if (this.#policy.state === CircuitState.HalfOpen) return Promise.reject(new BrokenCircuitError());
    return this.#policy.execute(call);
  }
}
