"""The longer commands of `rollcall`, and the exit codes and messages of all."""

import sys
from getpass import getuser

EXIT_OK, EXIT_REJECTED, EXIT_USAGE = 0, 1, 2


def fail(message: str, code: int = EXIT_REJECTED) -> int:
    """Print an error; returns the exit code."""
    print(message, file=sys.stderr)
    return code


def error_text(error: Exception) -> str:
    """The message of an error, with the file of a system error."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def print_progress(done: int, total: int, message: str) -> None:
    """Print one step of a rebuild."""
    print(f"{done:,} of {total:,}: {message}" if done else message)


def actor() -> str:
    """The name in the audit log."""
    return f"{getuser()} at the command line"
