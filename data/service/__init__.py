"""The process that keeps the store: its lock, what it loads, backups, rebuilds."""
