"""Who may do what: roles, claims of the identity provider, revoked tokens."""
