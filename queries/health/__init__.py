"""Questions of the Health page."""
