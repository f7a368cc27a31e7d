"""Snapshot files: formats, encodings, headers, names."""
