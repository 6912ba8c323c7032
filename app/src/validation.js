import { HttpError } from "./errors.js";

const MAX_ID = 2 ** 31 - 1; // PostgreSQL's integer
const LIMITS = { name: 200, description: 10_000 };

/** The id in a path, as a number. */
export function checkId(text) {
  if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) > MAX_ID) {
    throw new HttpError(400, `the id must be a whole number from 1 to ${MAX_ID}`);
  }
  return Number(text);
}

/** The item in a request's body. */
export function checkItem(request) {
  if (!request.is("application/json")) {
    throw new HttpError(415, "send an item as application/json");
  }
  const { body } = request;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new HttpError(400, "an item must be a JSON object");
  }
  const unknown = Object.keys(body).filter((key) => !(key in LIMITS));
  if (unknown.length > 0) {
    throw new HttpError(400, `an item has no ${unknown.join(", ")}; it has name and description`);
  }
  const { name, description = "" } = body;
  checkText("name", name);
  checkText("description", description);
  if (name.trim() === "") throw new HttpError(400, "name must not be empty");
  return { name, description };
}

function checkText(key, value) {
  if (typeof value !== "string") throw new HttpError(400, `${key} must be a string`);
  if (value.length > LIMITS[key]) throw new HttpError(400, `${key} must have at most ${LIMITS[key]} characters`);
  if (value.includes("\0")) throw new HttpError(400, `${key} must not contain the character U+0000`);
}
