import { log } from "./log.js";

/** An answer other than success; its message is meant for the client. */
export class HttpError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {Record<string, string>} [headers]
   */
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

const BODY_ERRORS = {
  "entity.parse.failed": "the body must be valid JSON",
  "entity.too.large": "the body must not exceed 1 MiB",
  "encoding.unsupported": "the content encoding isn't supported",
  "charset.unsupported": "the charset must be utf-8",
};

/** No route matched. */
export function notFound(request, _response, next) {
  next(new HttpError(404, `there is no ${request.path}`));
}

/** Answer any error as JSON; details of unexpected ones go to the log alone. */
export function answerError(error, _request, response, next) {
  if (response.headersSent) return next(error);
  const status = error.status ?? 500;
  const message = BODY_ERRORS[error.type] ?? (status < 500 || error instanceof HttpError ? error.message : null);
  if (status >= 500 && !(error instanceof HttpError)) {
    log("error", error.message, { stack: error.stack });
  }
  response
    .status(status)
    .set(error.headers ?? {})
    .json({ error: message ?? "something went wrong" });
}
