"""How a snapshot becomes history: staged, validated, compared, written as versions."""
