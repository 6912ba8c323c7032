// Asks a site the same over HTTP/2, again and again on one connection, and prints a line for each request: its status, or
// what it met instead; `repeated` for one that the server says it did not process (RFC 9113, 6.8 and 8.7), which is asked
// again on a new connection, as browsers do. Arguments: the site's address, its name, the file of its authority.
import { readFileSync } from "node:fs";
import { connect, constants } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

const [address, name, authority] = process.argv.slice(2);
const ca = readFileSync(authority);
const PAUSE_MS = 20;

let session;

function open() {
  const opened = connect(`https://${name}`, { host: address, servername: name, ca });
  opened.on("error", () => {}); // each request tells of it
  return opened;
}

/** Status of one request, or what it met. */
function ask() {
  if (!session || session.closed || session.destroyed) session = open();
  return new Promise((resolve) => {
    const stream = session.request({ ":path": "/me" });
    let status;
    let problem;
    stream.setTimeout(10_000, () => stream.close(constants.NGHTTP2_CANCEL));
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.on("error", (error) => (problem = error.message));
    stream.on("close", () => {
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) resolve("repeated");
      else resolve(problem ?? (stream.rstCode ? `reset with ${stream.rstCode}` : String(status)));
    });
    stream.resume();
  });
}

for (;;) {
  process.stdout.write(`${await ask()}\n`);
  await sleep(PAUSE_MS);
}
