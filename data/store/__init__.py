"""The database: DuckDB, PostgreSQL or Citus behind one engine."""
