"""Lists of accounts as files."""
