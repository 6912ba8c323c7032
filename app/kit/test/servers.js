// As much of PostgreSQL and of Redis as tells who is let in and who may write.
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A machine of Expressway: a file that says what variables hold, and a socket to ask for news at. */
export async function machine(t, variables) {
  const directory = mkdtempSync(join(tmpdir(), "kit-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "environment.json");
  const write = (content) => {
    writeFileSync(`${file}.new`, JSON.stringify(content));
    renameSync(`${file}.new`, file);
  };
  const found = { asked: 0, write, news: () => {}, looked: async () => {} };
  write(variables);
  await listen(t, join(directory, "refresh.sock"), async (socket) => {
    found.asked += 1;
    await found.looked(); // at the secrets, which are an answer of AWS away
    found.news();
    socket.end();
  });
  process.env.EXPRESSWAY_ENVIRONMENT = file;
  t.after(() => delete process.env.EXPRESSWAY_ENVIRONMENT);
  return found;
}

/** PostgreSQL that asks for a password in clear and answers every statement with no rows. */
export async function postgres(t, password) {
  const refusal = ["28P01", "password authentication failed"];
  const server = { password, refusal, sessions: 0, refused: 0, statements: [] };
  server.port = await listen(t, 0, (socket) => {
    let pending = Buffer.alloc(0);
    let started = false;
    socket.on("data", (data) => {
      pending = Buffer.concat([pending, data]);
      for (;;) {
        const kindBytes = started ? 1 : 0; // the first message of a session has no kind
        if (pending.length < kindBytes + 4) return;
        const end = kindBytes + pending.readInt32BE(kindBytes);
        if (pending.length < end) return;
        const kind = started ? String.fromCharCode(pending[0]) : "start";
        const body = pending.subarray(kindBytes + 4, end);
        pending = pending.subarray(end);
        started = true;
        answer(kind, body.toString().replaceAll("\0", ""));
      }
    });
    const answer = (kind, text) => {
      if (kind === "start") socket.write(message("R", int(3)));
      if (kind === "p" && text === server.password) {
        server.sessions += 1;
        socket.write(Buffer.concat([message("R", int(0)), message("Z", "I")]));
      } else if (kind === "p") {
        server.refused += 1;
        const [code, text] = server.refusal;
        socket.end(message("E", `SFATAL\0C${code}\0M${text}\0\0`));
      }
      if (kind === "Q") {
        server.statements.push(text);
        socket.write(Buffer.concat([message("C", "SELECT 0\0"), message("Z", "I")]));
      }
      if (kind === "X") socket.end();
    };
  });
  return server;
}

/** A node of Redis: its role decides whether it takes writes, its token who is let in. */
export async function redisNode(t, { role = "master", token = null } = {}) {
  const node = { role, token, connections: 0, written: [], sockets: new Set() };
  node.port = await listen(t, 0, (socket) => {
    node.connections += 1;
    node.sockets.add(socket);
    socket.on("close", () => node.sockets.delete(socket));
    let pending = "";
    let allowed = node.token === null;
    socket.on("data", (data) => {
      pending += data;
      for (let words; (words = take()) !== null; ) socket.write(reply(words));
    });
    /** The next command that has arrived whole. */
    const take = () => {
      const [count, ...lines] = pending.split("\r\n");
      const length = 2 * Number(count.slice(1));
      if (!count || lines.length <= length) return null;
      pending = lines.slice(length).join("\r\n");
      return lines.slice(0, length).filter((_, index) => index % 2 === 1);
    };
    const reply = ([name, ...words]) => {
      const command = name.toUpperCase();
      if (command === "HELLO") return "-ERR unknown command 'HELLO'\r\n";
      if (command === "AUTH") {
        allowed = words.at(-1) === node.token;
        return allowed ? "+OK\r\n" : "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
      }
      if (command === "CLIENT") return "+OK\r\n";
      if (!allowed) return "-NOAUTH Authentication required.\r\n";
      if (command === "INFO") return bulk(`role:${node.role}\r\nloading:0\r\n`);
      if (command === "GET") return "$-1\r\n";
      if (node.role !== "master") return node.refusal;
      node.written.push(words[0]);
      return ":1\r\n";
    };
  });
  node.refusal = "-READONLY You can't write against a read only replica.\r\n";
  return node;
}

async function listen(t, where, onConnection) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(where, typeof where === "number" ? "127.0.0.1" : undefined);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server.address().port;
}

function message(kind, body) {
  const content = Buffer.from(body);
  return Buffer.concat([Buffer.from(kind), int(content.length + 4), content]);
}

function int(value) {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function bulk(text) {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}
