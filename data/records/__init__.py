"""What people did and decided: the audit log, exceptions, matches."""
