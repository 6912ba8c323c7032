import { serve } from "@expressway/kit";
import { createCache } from "@expressway/kit/cache";
import { Redis } from "ioredis";
import { createApp } from "./src/app.js";
import { connectDatabase } from "./src/database.js";
import { ItemStore } from "./src/items.js";
import { log } from "./src/log.js";

const { DATABASE_URL, DATABASE_POOL_MAX } = process.env;

const database = DATABASE_URL ? connectDatabase(DATABASE_POOL_MAX) : null;
const cache = createCache(Redis, {
  namespace: "expressway",
  position: () => database?.position() ?? "",
  log: (message) => log("error", message),
});
const store = database && new ItemStore(database);

serve(createApp({ store, cache }), {
  log: (message) => log("info", message),
  parts: database ? { cache, database } : { cache },
  ready: async () => store?.createTable(),
  close: async () => {
    cache.close();
    await database?.end();
  },
});
