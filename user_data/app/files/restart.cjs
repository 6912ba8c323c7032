"use strict";
// Have PM2 end one process of the app, as at any stop, and start it anew. Arguments: the folder of PM2, the name.

const pm2 = require(process.argv[2]);
// PM2's client would start a second PM2 where none answers.
pm2.Client.launchDaemon = (...args) => args.at(-1)(new Error("PM2 isn't running"));

const end = (error) => {
  if (error) console.error(error.message ?? String(error));
  process.exit(error ? 1 : 0);
};
pm2.connect((error) => (error ? end(error) : pm2.restart(process.argv[3], end)));
