"""Whether the objectives of data/objectives.py are met."""
