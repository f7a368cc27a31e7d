"""How snapshots get in: states, tables, store, reading, loading, inbox, sample."""
