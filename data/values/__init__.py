"""What the text of a cell means: moments, roles, yes and no, and nothing at all."""
