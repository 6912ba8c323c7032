import { serve } from "@expressway/kit";
import { createApp } from "./src/app.js";
import { Cache } from "./src/cache.js";
import { connectDatabase } from "./src/database.js";
import { ItemStore } from "./src/items.js";
import { log } from "./src/log.js";
import { connectRedis } from "./src/redis.js";

const { DATABASE_URL, REDIS_URL, DATABASE_POOL_MAX } = process.env;

const database = DATABASE_URL ? connectDatabase(DATABASE_POOL_MAX) : null;
const redis = REDIS_URL ? connectRedis() : null;
const store = database && new ItemStore(database);

serve(createApp({ store, cache: new Cache(redis) }), {
  log: (message) => log("info", message),
  ready: async () => store?.createTable(),
  close: async () => {
    redis?.disconnect();
    await database?.end();
  },
});
