import { arcsOfLast } from "./ring.js";

// What a move keeps in each database, in a schema of its own: of them all only `shards` stays when it is over.

/** The first half of the advisory locks; the second is a bucket, or who moves. */
const LOCKS = 0x45585053;
/** Who moves keys has this bucket's lock: there is one at a time. */
export const MOVER = -1;
/** Tells the guard that rows move, which their owners didn't write. */
export const AS_MOVER = "select set_config('expressway.mover', 'on', true)";

/** Where keys are, as the kit reads it. */
export const STATE = `
create schema if not exists expressway_kit;
create table if not exists expressway_kit.shards (
  one boolean primary key default true check (one),
  ring integer not null check (ring > 0),
  moving_to integer,
  buckets integer
)`;

export const setState = `
insert into expressway_kit.shards (ring, moving_to, buckets) values ($1, $2, $3)
on conflict (one) do update set ring = excluded.ring, moving_to = excluded.moving_to, buckets = excluded.buckets`;

/** That `count` shards have keys, unless something is said already. One message, and so one transaction. */
export const record = (count) => `
select pg_advisory_xact_lock(${LOCKS}, ${MOVER});
${STATE};
insert into expressway_kit.shards (ring) values (${Number(count)}) on conflict do nothing`;

export const exclusive = (bucket) => `select pg_advisory_xact_lock(${LOCKS}, ${Number(bucket)})`;
export const tryMover = `select pg_try_advisory_xact_lock(${LOCKS}, ${MOVER}) as mine`;

const identifier = (name) => `"${name.replaceAll('"', '""')}"`;
/** A table's name, with its schema's before it or without. */
export const quoted = (name) => name.split(".").map(identifier).join(".");
const guardOf = (place) => `expressway_kit.shard_guard_${place}`;

/**
 * All that a database needs before keys move to the last of `count` shards, but for its tables' triggers.
 *
 * The hash is the ring's: the first four bytes of the MD5, the last of them first. A statement of a function sees what
 * was committed when it began, so what comes after the lock sees what the one that had it did; at a stricter isolation it
 * doesn't, and a row that was changed meanwhile is an error when it is locked.
 */
export function machinery(tables, count, buckets) {
  const arcs = arcsOfLast(count)
    .map(({ low, high }) => `(${low}, ${high})`)
    .join(", ");
  return `
create table expressway_kit.shard_arcs (high bigint primary key, low bigint not null);
insert into expressway_kit.shard_arcs (low, high) values ${arcs};
create table expressway_kit.shard_buckets (bucket integer primary key, moved boolean not null default false);
insert into expressway_kit.shard_buckets select generate_series(0, ${buckets - 1});
create table expressway_kit.shard_keys (key text primary key, bucket integer not null);
create index on expressway_kit.shard_keys (bucket);
analyze expressway_kit.shard_arcs, expressway_kit.shard_buckets;

create function expressway_kit.shard_bucket(text) returns integer language plpgsql stable as $$
declare
  digest text := md5(convert_to($1, 'UTF8'));
  hash bigint := ('x' || substr(digest, 7, 2) || substr(digest, 5, 2) || substr(digest, 3, 2)
    || substr(digest, 1, 2))::bit(32)::bigint;
  inside boolean;
begin
  select low < hash into inside from expressway_kit.shard_arcs where high >= hash order by high limit 1;
  return case when inside then hash % ${buckets} end;
end $$;

create function expressway_kit.shard_enter(text) returns boolean language plpgsql as $$
declare
  own integer := expressway_kit.shard_bucket($1);
  found boolean;
begin
  if own is null then return false; end if;
  perform pg_advisory_xact_lock_shared(${LOCKS}, own);
  if current_setting('transaction_isolation') = 'read committed' then
    select moved into found from expressway_kit.shard_buckets where bucket = own;
  else
    select moved into found from expressway_kit.shard_buckets where bucket = own for share;
  end if;
  return found;
end $$;

create function expressway_kit.shard_seen(text) returns void language plpgsql as $$
declare
  own integer := expressway_kit.shard_bucket($1);
begin
  if own is null then return; end if;
  if expressway_kit.shard_enter($1) then
    raise exception 'the row''s key has moved to another shard' using errcode = 'XS001';
  end if;
  if not exists (select from expressway_kit.shard_keys where key = $1) then
    insert into expressway_kit.shard_keys values ($1, own) on conflict do nothing;
  end if;
end $$;
${tables
  .map(({ column }, place) => {
    const key = identifier(column);
    return `
create function ${guardOf(place)}() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('expressway.mover', true), '') <> 'on' then
    if tg_op <> 'INSERT' then perform expressway_kit.shard_seen(old.${key}::text); end if;
    if tg_op <> 'DELETE' and (tg_op = 'INSERT' or new.${key} is distinct from old.${key}) then
      perform expressway_kit.shard_seen(new.${key}::text);
    end if;
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;`;
  })
  .join("\n")}`;
}

export const TRIGGER = "expressway_shard";

export const guard = ({ name }, place) => `
create or replace trigger ${TRIGGER} before insert or update or delete on ${quoted(name)}
for each row execute function ${guardOf(place)}()`;

export const unguard = ({ name }) => `drop trigger if exists ${TRIGGER} on ${quoted(name)}`;

/** The tables that have the trigger, whoever was named at the time. */
export const guarded = `
select tgrelid::regclass::text as name from pg_trigger where tgname = '${TRIGGER}' and not tgisinternal and tgparentid = 0`;

/** Without the triggers, which go first. */
export const cleanUp = `
do $$
declare each regprocedure;
begin
  for each in select oid from pg_proc where pronamespace = 'expressway_kit'::regnamespace and proname like 'shard\\_%' loop
    execute format('drop function %s', each);
  end loop;
end $$;
drop table if exists expressway_kit.shard_keys, expressway_kit.shard_buckets, expressway_kit.shard_arcs`;

const everyKey = (tables) =>
  tables.map(({ name, column }) => `select ${identifier(column)}::text as key from ${quoted(name)}`).join(" union ");

/** The keys that are there and will move. */
export const noteKeys = (tables) => `
insert into expressway_kit.shard_keys
select key, expressway_kit.shard_bucket(key) from (${everyKey(tables)}) every
where expressway_kit.shard_bucket(key) is not null on conflict do nothing`;

export const countKeys = (tables) => `select count(*)::integer as keys from (${everyKey(tables)}) every`;

const has = ({ column }) => `${identifier(column)} = any($1)`;

export const rowsOf = (table) => `select of::text as row from ${quoted(table.name)} of where ${has(table)}`;

/** How many there are, and what they add up to. */
export const sumOf = (table) => `
select count(*)::integer as rows, coalesce(sum(('x' || left(md5(of::text), 15))::bit(60)::bigint), 0)::text as sum
from ${quoted(table.name)} of where ${has(table)}`;

export const remove = (table) => `delete from ${quoted(table.name)} where ${has(table)}`;

/** From rows as PostgreSQL writes them, which loses nothing. */
export const insert = ({ name, columns }) => {
  const kept = columns.filter(({ generated }) => !generated).map(({ name: each }) => identifier(each));
  return `
insert into ${quoted(name)} (${kept.join(", ")}) overriding system value
select ${kept.map((each) => `(of.row).${each}`).join(", ")}
from (select text::${quoted(name)} as row from unnest($1::text[]) text offset 0) of`;
};

/** What a table's rows are written with, the same in both databases. */
export const PLAIN = `
set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
set local extra_float_digits = 1; set local bytea_output = 'hex'; set local xmloption = 'content';
set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0`;

/** What a table is like, for `problems` of move-check.js. */
export const DESCRIPTION = `
select
  (select jsonb_agg(jsonb_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
      'generated', attgenerated <> '', 'counts', attidentity <> '' or coalesce(
        (select pg_get_expr(adbin, adrelid) like 'nextval(%' from pg_attrdef where adrelid = attrelid and adnum = attnum), false))
      order by attnum)
    from pg_attribute where attrelid = own.oid and attnum > 0 and not attisdropped) as columns,
  (select coalesce(jsonb_agg((select jsonb_agg(attname order by place) from unnest(indkey) with ordinality keys (number, place)
        join pg_attribute on attrelid = indrelid and attnum = number)), '[]')
    from pg_index where indrelid = own.oid and indisunique) as uniques,
  exists (select from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]
    where indrelid = own.oid and indisvalid and indpred is null and attname = $2) as indexed,
  (select coalesce(jsonb_agg(tgname), '[]') from pg_trigger
    where tgrelid = own.oid and not tgisinternal and tgname <> '${TRIGGER}' and tgenabled <> 'D') as triggers,
  (select coalesce(jsonb_agg(distinct conrelid::regclass::text), '[]') from pg_constraint
    where contype = 'f' and confrelid = own.oid) as referrers,
  own.relkind in ('r', 'p') as table
from (select oid, relkind from pg_class where oid = to_regclass($1)) own`;
