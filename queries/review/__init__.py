"""Questions of the Review page: rules and what they find."""
