"""Words that RDS takes for no database's name, where it makes that database."""

from .findings import Finding

_OF_POSTGRESQL = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning
right select session_user similar some symmetric system_user table tablesample then to trailing true union unique user
using variadic verbose when where window with
"""
"""Reserved there: SQL takes them for no name without quotes.
https://www.postgresql.org/docs/17/sql-keywords-appendix.html"""
_OF_RDS = "admin catalog comments control database db flag identity"
"""That RDS was seen to refuse besides, "a reserved word for this engine". Its own list isn't published."""

RESERVED = frozenset(f"{_OF_POSTGRESQL} {_OF_RDS}".split())


def check_database_name(path: str, name: str) -> list[Finding]:
    """Whether RDS makes a database of that name. One that is there already, in a copy, may be called anything.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
    """
    if name not in RESERVED:
        return []
    rule = "it must not be a word that PostgreSQL or RDS reserves, of which RDS makes no database"
    return [Finding(path, name, rule, f"Add to it, as in {name}_app.")]
