"use strict";
// What PM2 loads before itself (expressway-app.service), so that no connection is lost with a worker. Node's cluster hands a
// connection to a worker, and keeps it open until the worker says whether it took it. A worker that dies before never will:
// the connection stays open with nobody behind it, and its client waits until it gives up. So this refuses it in the dead
// worker's place, upon which Node hands it to another. Nothing is done twice by that: what a worker has read of a request is
// gone from the connection.

const cluster = require("node:cluster");

const CMD = "NODE_CLUSTER"; // marks Node's own messages between the cluster's primary and its workers

/** The connections that a worker was handed and hasn't answered for, by the message's number; `key` is of the port. */
const handed = new Map();

function watch({ process: worker }) {
  const { send } = worker;
  worker.send = function (message, handle, ...rest) {
    if (message?.cmd === CMD && message.act === "newconn") handed.set(message.seq, { worker, key: message.key, handle });
    return send.call(this, message, handle, ...rest);
  };
  // After Node's own listener: what was refused has been handed on by now, or waits until a worker is free.
  worker.on("internalMessage", ({ cmd, ack, accepted }) => {
    const one = cmd === CMD ? handed.get(ack) : undefined;
    if (!one) return;
    handed.delete(ack);
    if (!accepted && !hasWorkers(one.key)) one.handle.close();
  });
  // Not "disconnect": with an answer outstanding there is none. This comes when both the process and its channel have ended:
  // all that it said is known, and Node hands it nothing more.
  worker.once("close", () => {
    for (const [seq, one] of handed) {
      if (one.worker === worker) worker.emit("internalMessage", { cmd: CMD, ack: seq, accepted: false });
    }
  });
}

/** Whether a refused connection has a worker to wait for: a free one would have it, any other has one to answer for. */
function hasWorkers(key) {
  return [...handed.values()].some((one) => one.key === key);
}

if (cluster.isPrimary) cluster.on("fork", watch);
