// A clock for what must not take long, on a host that may let this process wait for as long as it likes.

const STEP = 10;
const real = performance.now.bind(performance); // a test may have the product go by the one below
let at = 0;
let last = { time: real(), cpu: process.cpuUsage() };

/**
 * Milliseconds as `performance.now()` has them, without those in which this process could have gone on and the host didn't let
 * it: between two steps there can be no more than they are apart, twice as they may be late, and what was computed.
 */
export function now() {
  const [time, cpu] = [real(), process.cpuUsage()];
  const computed = (cpu.user + cpu.system - last.cpu.user - last.cpu.system) / 1_000;
  at += Math.min(time - last.time, 2 * STEP + computed);
  last = { time, cpu };
  return at;
}

setInterval(now, STEP).unref();
