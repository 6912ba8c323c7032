"""Day-2 work on the stack's database: how it is, failover, snapshots, copies, promotion and another password."""
