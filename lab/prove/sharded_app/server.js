// The sample app's items, each on the shard of its key: for the proof of a shard that is added under load.
import { randomInt } from "node:crypto";
import { serve } from "@expressway/kit";
import { createShards } from "@expressway/kit/shards";
import express from "express";
import pg from "pg";

const shards = createShards(pg, { pool: { max: 5, application_name: "expressway-app" }, patience: 2_000 });
const keyOf = (id) => `item:${id}`;
const answer = (work) => (request, response) =>
  work(request, response).catch((error) => {
    console.error(`${request.method} ${request.path}: ${error.stack}`);
    response.status(503).json({ error: error.message });
  });

const app = express();
app.use(express.json());
app.get("/", (_request, response) => response.json({ release: process.env.RELEASE_ID, instance: process.env.INSTANCE_ID }));
app.post(
  "/items",
  answer(async ({ body: { name } }, response) => {
    const id = randomInt(2 ** 47);
    await shards.for(keyOf(id)).write("insert into items (key, id, name) values ($1, $2, $3)", [keyOf(id), id, name]);
    response.status(201).json({ id, name });
  }),
);
app.put(
  "/items/:id",
  answer(async ({ params: { id }, body: { name } }, response) => {
    const statement = "update items set name = $2 where key = $1 returning id::float8, name";
    const { rows } = await shards.for(keyOf(id)).write(statement, [keyOf(id), name]);
    response.status(rows.length === 1 ? 200 : 404).json(rows[0] ?? {});
  }),
);
app.get(
  "/items/:id",
  answer(async ({ params: { id } }, response) => {
    const { rows } = await shards.for(keyOf(id)).read("select id::float8, name from items where key = $1", [keyOf(id)]);
    response.status(rows.length === 1 ? 200 : 404).json(rows[0] ?? {});
  }),
);

serve(app, { parts: { shards: { snapshot: () => shards.snapshot() } }, close: () => shards.end() });
