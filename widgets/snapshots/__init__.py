"""What only the Snapshots page draws."""
