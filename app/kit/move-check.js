/** Types whose values are the keys that the kit is given. */
const TEXTS = /^(text|character varying(\(\d+\))?)$/;

/**
 * Why a table's rows can't move, in one line each; empty when they can.
 * @param {{ name: string, column: string }} table
 * @param {object[]} descriptions of each database, in their order; undefined where there is no such table
 * @param {string[]} names of all tables that move, as PostgreSQL writes them
 */
export function problems({ name, column }, descriptions, names) {
  const missing = descriptions.flatMap((each, place) => (each?.table ? [] : [`shard-${place}`]));
  if (missing.length > 0) return [`there is no table ${name} on ${missing.join(", ")}: make it on every shard first`];
  const [own] = descriptions;
  const shape = ({ columns }) => columns.map((each) => `${each.name} ${each.type}`).join(", ");
  const others = descriptions.flatMap((each, place) => (shape(each) === shape(own) ? [] : [`shard-${place}`]));
  const found = [];
  if (others.length > 0)
    found.push(`${name} has other columns, or another order of them, on ${others.join(", ")} than on shard-0`);
  const key = own.columns.find((each) => each.name === column);
  if (!key) return [...found, `${name} has no column ${column}`];
  if (!TEXTS.test(key.type)) found.push(`${name}.${column} is ${key.type}: a key is text`);
  if (!descriptions.every((each) => each.indexed))
    found.push(`${name} needs an index that begins with ${column}, on every shard`);
  for (const each of own.columns) {
    if (each.counts && descriptions.some(({ uniques }) => uniques.some((columns) => columns.includes(each.name)))) {
      found.push(`${name}.${each.name} counts by itself on each shard, so that two shards have the same: take a uuid`);
    }
  }
  const triggers = new Set(descriptions.flatMap((each) => each.triggers));
  if (triggers.size > 0)
    found.push(`${name} has triggers, which rows that move would set off: ${[...triggers].join(", ")}`);
  const left = new Set(descriptions.flatMap((each) => each.referrers).filter((each) => !names.includes(each)));
  if (left.size > 0)
    found.push(`${name} is referred to by ${[...left].join(", ")}, which must move with it: name it after ${name}`);
  return found;
}
