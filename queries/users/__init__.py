"""Questions of the Users page."""
