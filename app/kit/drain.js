import { Server as TcpServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How long idle connections stay open after the listener has closed, at most; in milliseconds. */
const LINGER = 1_000;
/**
 * How long the process stays after the listener has closed, at least; in milliseconds. In a cluster the primary hands
 * connections over, and learns only by and by that this worker takes no more: those that are on their way meanwhile go
 * back to it as long as there is a worker to say so, and would otherwise be lost, neither refused nor answered.
 */
const HANDOVER = 500;
const POLL = 50;

/** Stops a server without losing a request. */
export class Drain {
  #server;
  #linger;
  #handover;
  #responses = new Set();
  #sockets = new Set();
  #draining = false;

  /**
   * @param {import("node:http").Server} server
   * @param {number} timeout milliseconds that the caller grants `run`; idle connections get no more than a tenth of it
   */
  constructor(server, timeout) {
    this.#server = server;
    this.#linger = Math.min(LINGER, timeout / 10);
    this.#handover = Math.min(HANDOVER, this.#linger);
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /** How many requests have no complete answer yet. */
  get active() {
    return this.#responses.size;
  }

  /** Watch a response from the start of its request. */
  track(response) {
    this.#responses.add(response);
    response.once("close", () => this.#responses.delete(response));
    if (this.#draining) sayGoodbye(response);
  }

  /**
   * Take no new connection, answer what is in flight and what still arrives on open connections, then close them.
   * Resolves when no connection is left.
   */
  async run() {
    this.#draining = true;
    for (const response of this.#responses) sayGoodbye(response);

    // http.Server.close() would cut idle connections at this instant, and with them a request that is on its way from
    // the balancer's pool: a POST that it may not repeat. So close the listener alone, tell each connection goodbye in
    // its next answer, and cut only those that stay silent.
    const closed = new Promise((resolve) => {
      TcpServer.prototype.close.call(this.#server, resolve);
    });
    await Promise.all([Promise.race([closed, sleep(this.#linger)]), sleep(this.#handover)]);
    const cut = setInterval(() => this.#cutIdle(), POLL);
    await closed;
    clearInterval(cut);
  }

  #cutIdle() {
    this.#server.closeIdleConnections();
    // Node counts a connection on which nothing was ever sent (a browser's spare one) as busy with its first request.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }
}

function sayGoodbye(response) {
  if (!response.headersSent) response.setHeader("Connection", "close");
}
