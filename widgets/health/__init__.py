"""What only the Health page draws: the verdict, tiles, charts on cards, and tables."""
