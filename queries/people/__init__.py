"""Questions about people: who left, and whose an account is."""
