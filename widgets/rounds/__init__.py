"""The page of review rounds."""
