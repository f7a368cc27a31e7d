"""Directories, and who the people in them are."""
