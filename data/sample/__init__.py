"""Invented snapshots, to try Rollcall with. Nobody in here exists."""
