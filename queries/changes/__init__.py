"""Questions of the Changes page: what differs between two moments."""
