// A server for the drain tests: its paths, and who started it, say how it should behave.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@expressway/kit";

const { COLD = "", DRAIN_TIMEOUT = "10000", STOPS = "" } = process.env;
let warm = COLD === "";
process.once("message", () => {
  warm = true;
});
const signalled = Promise.race(["SIGINT", "SIGTERM"].map((signal) => once(process, signal)));

serve(
  async (request, response) => {
    if (request.url === "/stream") response.write("begun ");
    if (request.url !== "/") console.log(`${request.url} is here`);
    if (request.url === "/hang") return;
    if (request.url !== "/") {
      await signalled;
      await sleep(300);
    }
    response.end("done");
  },
  {
    drainTimeout: Number(DRAIN_TIMEOUT),
    parts: {
      cache: { snapshot: () => ({ hits: 3 }) },
      broken: {
        snapshot: () => {
          throw new Error("no idea");
        },
      },
    },
    ready: async () => {
      if (!warm) throw new Error("warming up");
    },
    close: async () => console.log("closed"),
  },
);

// Right after its drain has begun, until it is told to go on.
if (STOPS) process.once("SIGINT", () => process.kill(process.pid, "SIGSTOP"));
