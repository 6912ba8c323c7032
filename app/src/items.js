const COLUMNS = `id, name, description, created_at as "createdAt", updated_at as "updatedAt"`;
const LIST_LENGTH = 100;
// Any number will do, as long as every worker takes the same one.
const SCHEMA_LOCK = 4_019_721;

/** Items in PostgreSQL. */
export class ItemStore {
  #database;

  /** @param {{read: Function, write: Function, transaction: Function}} database */
  constructor(database) {
    this.#database = database;
  }

  /** Make the table, unless it is there. All workers of all servers may do this at once: the lock lets one at a time. */
  async createTable() {
    await this.#database.transaction([
      `select pg_advisory_xact_lock(${SCHEMA_LOCK})`,
      `create table if not exists items (
         id integer generated always as identity primary key,
         name text not null,
         description text not null,
         created_at timestamptz not null default now(),
         updated_at timestamptz not null default now()
       )`,
    ]);
  }

  /** The newest items, of a database that has come as far as `after`. */
  async list(after) {
    const statement = `select ${COLUMNS} from items order by id desc limit ${LIST_LENGTH}`;
    return this.#database.read("items-list", statement, [], after);
  }

  /** One item, or null, of a database that has come as far as `after`. */
  async get(id, after) {
    const rows = await this.#database.read("items-get", `select ${COLUMNS} from items where id = $1`, [id], after);
    return rows[0] ?? null;
  }

  async create({ name, description }) {
    const statement = `insert into items (name, description) values ($1, $2) returning ${COLUMNS}`;
    return this.#write("items-create", statement, [name, description]);
  }

  /** The item as it is now, or null when there is none. */
  async update(id, { name, description }) {
    const statement = `update items set name = $2, description = $3, updated_at = now() where id = $1 returning ${COLUMNS}`;
    return this.#write("items-update", statement, [id, name, description]);
  }

  /** The item that was removed, or null when there was none. */
  async remove(id) {
    return this.#write("items-remove", `delete from items where id = $1 returning ${COLUMNS}`, [id]);
  }

  async #write(name, statement, values) {
    const rows = await this.#database.write(name, statement, values);
    return rows[0] ?? null;
  }
}
