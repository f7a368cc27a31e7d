"""The letter: what changed, for people who do not open the app to learn it."""
