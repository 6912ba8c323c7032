"""`expressway db`: the stack's database after `pulumi up`."""

from cli.db.command import app as app
