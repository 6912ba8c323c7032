import { hostname } from "node:os";
import express from "express";
import { answerError, notFound } from "./errors.js";
import { logTrouble } from "./log.js";
import { itemRoutes } from "./routes.js";

/** The largest request body, in bytes: the same as the edge's limit of 1m. */
const MAX_BODY = 1024 * 1024;

/**
 * The Express app.
 * @param {{store: import("./items.js").ItemStore | null, cache: import("@expressway/kit/cache").Cache}} parts
 */
export function createApp({ store, cache }) {
  const app = express();
  app.disable("x-powered-by");
  app.set("trust proxy", 1); // the edge is the one hop in front
  app.use(logTrouble);
  app.use(express.json({ limit: MAX_BODY }));
  app.get("/", (_request, response) => {
    response.json(whoAmI());
  });
  app.use("/items", itemRoutes(store, cache));
  app.use(notFound);
  app.use(answerError);
  return app;
}

function whoAmI() {
  const { INSTANCE_ID, RELEASE_ID, NODE_APP_INSTANCE } = process.env;
  return {
    app: "expressway",
    instance: INSTANCE_ID || hostname(),
    release: RELEASE_ID || "local",
    worker: Number(NODE_APP_INSTANCE ?? 0), // PM2 counts its workers in this variable
    pid: process.pid,
    node: process.versions.node,
  };
}
