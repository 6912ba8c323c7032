// A server for the drain tests: its paths say how it should behave.
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@expressway/kit";

const { READY_AFTER = "0", DRAIN_TIMEOUT = "10000" } = process.env;
const readyAt = Date.now() + Number(READY_AFTER);

serve(
  async (request, response) => {
    if (request.url === "/hang") return;
    if (request.url === "/slow") await sleep(300);
    if (request.url === "/stream") {
      response.write("begun ");
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
      if (Date.now() < readyAt) throw new Error("warming up");
    },
    close: async () => console.log("closed"),
  },
);
