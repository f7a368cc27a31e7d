"""What only the Users page draws."""
