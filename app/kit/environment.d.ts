/**
 * What a variable holds now. On a machine of Expressway that follows a secret which changes while the app runs, where
 * `process.env` is what the worker was started with; elsewhere it is `process.env`.
 */
export function current(name: string): string | undefined;

/** Have this machine look at the secrets now, and wait until it has. Resolves to false where nobody can be asked. */
export function refresh(): Promise<boolean>;
