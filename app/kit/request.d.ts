/**
 * The id of the request that is being answered, which the edge logs and tells the client as X-Request-ID. No middleware is
 * needed; undefined outside of requests, and for one that came without an id of 8 to 64 letters, digits, dots, hyphens and
 * underscores.
 */
export function requestId(): string | undefined;

/** A statement with the request's id in a comment, as sqlcommenter writes it; as it is outside of requests. */
export function commented(statement: string): string;
