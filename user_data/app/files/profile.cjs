"use strict";
// Takes a CPU profile of the process that it is loaded into when this machine's expressway-deploys asks for one, on a
// connection that this process keeps to it: V8's own profiler through a session inside the process, so no port is opened
// and nothing is started anew. As in measure.cjs, which loads this, whatever happens here, the app goes on.

const SOCKET = process.env.EXPRESSWAY_PROFILE_SOCKET ?? "/run/expressway/profile.sock";
const FIRST_MS = 1_000;
const RETRY_MS = 5_000;
const SAMPLE_US = 1_000; // between two samples; half as many would cost twice the CPU
const LONGEST_SECONDS = 60;
const LONGEST_LINE = 1_000;

/** Wait to be asked; `identity` is who PM2 says that this process is. */
exports.follow = (identity) => {
  const { createConnection } = require("node:net");
  let socket;
  const connect = () => {
    if (socket) return;
    const fresh = createConnection(SOCKET);
    socket = fresh;
    let rest = "";
    let stop; // of the profile that is being taken
    fresh.unref();
    fresh.setEncoding("utf8");
    fresh.on("error", () => {}); // nobody is there: tried again
    fresh.on("close", () => {
      socket = undefined;
      stop?.(); // nobody waits for it any more
    });
    fresh.on("connect", () => fresh.write(`${JSON.stringify(identity)}\n`));
    fresh.on("data", (read) => {
      rest += read;
      const end = rest.indexOf("\n");
      if (rest.length > LONGEST_LINE) return void fresh.destroy();
      if (stop || end < 0) return;
      try {
        const { seconds } = JSON.parse(rest.slice(0, end));
        rest = rest.slice(end + 1);
        if (!(seconds > 0 && seconds <= LONGEST_SECONDS)) throw new RangeError(`${seconds} seconds`);
        stop = take(seconds, (answer) => {
          stop = undefined;
          tell(fresh, answer);
        });
      } catch (error) {
        tell(fresh, { error: String(error) });
      }
    });
  };
  const attempt = () => {
    try {
      connect();
    } catch {
      // An app that may open no socket has no profile.
    }
  };
  setTimeout(attempt, FIRST_MS).unref();
  setInterval(attempt, RETRY_MS).unref();
};

function tell(socket, answer) {
  try {
    if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
  } catch {
    socket.destroy(); // whoever asked is told by that
  }
}

/** Profile for so long, then hand `{profile}` or `{error}` to `done`, once; what is returned ends it at once. */
function take(seconds, done) {
  const { Session } = require("node:inspector");
  const session = new Session();
  session.connect();
  try {
    ask(session, "Profiler.enable");
    // V8 tells the profiler of code that it compiles from now on, and not of a hot loop's that it compiled before: that
    // would count for the loop's caller. This, in its two halves, has V8 throw away what it had optimized.
    ask(session, "Profiler.startPreciseCoverage", { callCount: false, detailed: false });
    ask(session, "Profiler.stopPreciseCoverage");
    ask(session, "Profiler.setSamplingInterval", { interval: SAMPLE_US });
    ask(session, "Profiler.start");
  } catch (error) {
    session.disconnect();
    throw error;
  }
  const stop = () => {
    clearTimeout(timer);
    let answer;
    try {
      answer = { profile: ask(session, "Profiler.stop").profile };
      session.disconnect(); // and no profiler is left in the process
    } catch (error) {
      answer = { error: String(error) };
    }
    done(answer);
  };
  const timer = setTimeout(stop, seconds * 1_000);
  timer.unref();
  return stop;
}

/** What the inspector answers, which it does before `post` returns; nothing is thrown where it calls back from. */
function ask(session, method, parameters) {
  let answer;
  session.post(method, parameters, (error, found) => (answer = { error, found }));
  if (!answer || answer.error) throw new Error(`${method}: ${answer?.error.message ?? "no answer"}`);
  return answer.found;
}
