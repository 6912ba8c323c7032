import { Router } from "express";
import { HttpError } from "./errors.js";
import { log } from "./log.js";
import { checkId, checkItem } from "./validation.js";

const LIST = "items:list";
const keyOf = (id) => `items:${id}`;

/**
 * The routes under /items. Reads go through the cache; writes go to the database and then invalidate.
 * @param {import("./items.js").ItemStore | null} store
 * @param {import("@expressway/kit/cache").Cache} cache
 */
export function itemRoutes(store, cache) {
  const routes = Router();
  if (store === null) {
    return routes.use(() => {
      throw new HttpError(503, "this server has no database: DATABASE_URL isn't set");
    });
  }

  const read = async (response, key, load) => {
    const { value, from } = await cache.read(key, load);
    response.set("X-Cache", from);
    return value;
  };

  routes
    .route("/")
    .get(async (_request, response) => {
      response.json(await read(response, LIST, (after) => store.list(after)));
    })
    .post(async (request, response) => {
      const item = await store.create(checkItem(request));
      // The item's own key too: someone may have asked for it before it was there, and "none" is cached as well.
      await cache.invalidate(LIST, keyOf(item.id));
      log("info", "item created", { id: item.id });
      response.status(201).location(`/items/${item.id}`).json(item);
    })
    .all(refuse("GET, HEAD, POST"));

  routes
    .route("/:id")
    .get(async (request, response) => {
      const id = checkId(request.params.id);
      response.json(found(await read(response, keyOf(id), (after) => store.get(id, after)), id));
    })
    .put(async (request, response) => {
      const id = checkId(request.params.id);
      const item = found(await store.update(id, checkItem(request)), id);
      await cache.invalidate(LIST, keyOf(id));
      log("info", "item changed", { id });
      response.json(item);
    })
    .delete(async (request, response) => {
      const id = checkId(request.params.id);
      found(await store.remove(id), id);
      await cache.invalidate(LIST, keyOf(id));
      log("info", "item removed", { id });
      response.status(204).end();
    })
    .all(refuse("GET, HEAD, PUT, DELETE"));

  return routes;
}

function found(item, id) {
  if (!item) throw new HttpError(404, `there is no item ${id}`);
  return item;
}

function refuse(allowed) {
  return (request) => {
    throw new HttpError(405, `${request.method} isn't allowed here`, { Allow: allowed });
  };
}
