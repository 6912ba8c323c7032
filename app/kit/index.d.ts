import type { RequestListener, Server } from "node:http";
import type { Part } from "./metrics.js";

export interface ServeOptions {
  /** Port to listen on. Default: the environment's PORT, else 3000. */
  port?: number | string;
  /** Address to listen on. Default: all. */
  host?: string;
  /** Resolves once the app can take traffic; tried again every half second while it rejects. Default: at once. */
  ready?: () => Promise<unknown>;
  /** Closes what the app holds open (pools), after the last answer. */
  close?: () => Promise<unknown>;
  /** Default: /healthz. */
  livenessPath?: string;
  /** Default: /readyz. */
  readinessPath?: string;
  /** What `/readyz?verbose` tells the state of, by name: a cache, a database, anything with `snapshot()`. Default: nothing. */
  parts?: Record<string, Part>;
  /** Milliseconds from the signal to the end, at most. Default: DRAIN_TIMEOUT. */
  drainTimeout?: number;
  /** Takes one line about a change of state. Default: console.log. */
  log?: (message: string) => void;
}

/**
 * Serve an Express app, or any other handler, until SIGINT or SIGTERM: then readiness answers 503, every answer says
 * `Connection: close`, what is in flight is finished, and the process exits.
 */
export function serve(handler: RequestListener, options?: ServeOptions): Server;

/** Milliseconds that Node keeps an idle connection: longer than the balancer's 60 s. */
export const KEEP_ALIVE_TIMEOUT: 75_000;
/** Milliseconds for a request's headers: longer than KEEP_ALIVE_TIMEOUT. */
export const HEADERS_TIMEOUT: 80_000;
/** Milliseconds for a whole request. */
export const REQUEST_TIMEOUT: 120_000;
/** Milliseconds for a drain: less than PM2's kill_timeout of 12 s. */
export const DRAIN_TIMEOUT: 10_000;
