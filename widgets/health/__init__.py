"""What only the Health page draws."""
