"""Review rounds: what they freeze, what was decided, and what the snapshots prove of it."""
