import assert from "node:assert/strict";
import { once } from "node:events";
import { after, beforeEach, test } from "node:test";
import { Cache } from "@expressway/kit/cache";
import { createApp } from "../src/app.js";
import { FakeRedis, FakeStore } from "./fakes.js";

let store;
let server;
let base;

async function serveWith(cache) {
  store = new FakeStore();
  server?.close();
  server = createApp({ store, cache }).listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${server.address().port}`;
}

beforeEach(() => serveWith(new Cache(new FakeRedis())));
after(() => server.close());

async function call(method, path, body, headers = { "Content-Type": "application/json" }) {
  const response = await fetch(base + path, {
    method,
    headers,
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text ? JSON.parse(text) : null };
}

const cached = async (path) => (await call("GET", path)).headers.get("x-cache");

test("GET / says who answers", async () => {
  const { status, headers, json } = await call("GET", "/");

  assert.equal(status, 200);
  assert.deepEqual(Object.keys(json), ["app", "instance", "release", "worker", "pid", "node"]);
  assert.equal(headers.get("x-powered-by"), null);
});

test("an item lives through create, read, update and delete", async () => {
  const created = await call("POST", "/items", { name: "lamp" });
  assert.equal(created.status, 201);
  assert.equal(created.headers.get("location"), "/items/1");
  assert.deepEqual(created.json, { id: 1, name: "lamp", description: "" });

  assert.deepEqual((await call("GET", "/items/1")).json, created.json);
  const updated = await call("PUT", "/items/1", { name: "lamp", description: "bright" });
  assert.equal(updated.json.description, "bright");
  assert.deepEqual((await call("GET", "/items")).json, [updated.json]);
  assert.equal((await call("DELETE", "/items/1")).status, 204);
  assert.equal((await call("GET", "/items/1")).status, 404);
  assert.deepEqual((await call("GET", "/items")).json, []);
});

test("X-Cache goes miss, hit, and miss again after each kind of write", async () => {
  const paths = ["/items/1", "/items"];
  assert.equal((await call("GET", "/items/1")).status, 404, "asked for before it is there");
  await cached("/items");

  for (const write of [
    () => call("POST", "/items", { name: "lamp" }),
    () => call("PUT", "/items/1", { name: "lamp", description: "new" }),
    () => call("DELETE", "/items/1"),
  ]) {
    for (const path of paths) assert.equal(await cached(path), "hit", `${path} before ${write}`);
    await write();
    for (const path of paths) assert.equal(await cached(path), "miss", `${path} after ${write}`);
  }
});

test("without a cache, reads come from the database", async () => {
  await serveWith(new Cache(null));
  await call("POST", "/items", { name: "lamp" });

  assert.equal(await cached("/items/1"), "bypass");
  assert.equal((await call("PUT", "/items/1", { name: "new" })).status, 200);
  assert.equal((await call("GET", "/items/1")).json.name, "new");
});

for (const [what, body, status, message] of [
  ["no JSON", "{", 400, /valid JSON/],
  ["an array", [], 400, /JSON object/],
  ["no name", {}, 400, /name must be a string/],
  ["an empty name", { name: " " }, 400, /must not be empty/],
  ["a long name", { name: "x".repeat(201) }, 400, /at most 200/],
  ["a number for a name", { name: 3 }, 400, /name must be a string/],
  ["a character that PostgreSQL refuses", { name: "a\0b" }, 400, /U\+0000/],
  ["an unknown field", { name: "a", colour: "red" }, 400, /has no colour/],
  ["too much", { name: "x".repeat(1024 * 1024) }, 413, /1 MiB/],
]) {
  test(`a body with ${what} is refused with ${status}`, async () => {
    await call("POST", "/items", { name: "lamp" });

    for (const [method, path] of [["POST", "/items"], ["PUT", "/items/1"]]) {
      const answer = await call(method, path, body);
      assert.equal(answer.status, status);
      assert.match(answer.json.error, message);
    }
    assert.equal(store.items.size, 1, "nothing was written");
  });
}

test("other kinds of bodies are refused with 415", async () => {
  const form = await call("POST", "/items", "name=lamp", { "Content-Type": "application/x-www-form-urlencoded" });
  const charset = await call("POST", "/items", "{}", { "Content-Type": "application/json; charset=latin1" });

  assert.deepEqual([form.status, charset.status], [415, 415]);
  assert.match(form.json.error, /application\/json/);
});

test("ids that can't be are refused, and those that aren't there are not found", async () => {
  for (const id of ["0", "-1", "1.5", "abc", "99999999999", "2147483648", "1%20or%201=1"]) {
    assert.equal((await call("GET", `/items/${id}`)).status, 400, id);
  }
  for (const [method, body] of [["GET"], ["PUT", { name: "a" }], ["DELETE"]]) {
    assert.equal((await call(method, "/items/7", body)).status, 404, method);
  }
});

test("unknown paths and methods are answered as JSON", async () => {
  assert.deepEqual((await call("GET", "/nope")).json, { error: "there is no /nope" });
  const answer = await call("PATCH", "/items/1", {});
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.get("allow"), "GET, HEAD, PUT, DELETE");
});

test("an unexpected error tells the client nothing about the inside", async (t) => {
  t.mock.method(console, "error", () => {});
  store.get = async () => {
    throw new Error("password authentication failed for user app");
  };

  const answer = await call("GET", "/items/1");

  assert.equal(answer.status, 500);
  assert.deepEqual(answer.json, { error: "something went wrong" });
  const lines = console.error.mock.calls.map(({ arguments: [line] }) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ message }) => message),
    ["password authentication failed for user app", "answered"],
  );
  assert.match(lines[0].stack, /app\.test\.js/, "the log has it");
});
