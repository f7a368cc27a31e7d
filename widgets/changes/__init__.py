"""What only the Changes page draws."""
