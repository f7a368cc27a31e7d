"""The secrets file: the sections that configure sign-in, pulls, retention and letters."""

import os
import tomllib
from pathlib import Path
from typing import Any

from data.access.claims import ConfigError
from data.home import CHECKOUT


class UnsetVariable(Exception):
    """A setting names a variable that the environment lacks. The message is its name: `$NAME`."""


OWN_FILE = CHECKOUT / ".streamlit" / "secrets.toml"


def secrets_path() -> Path:
    """The file: ROLLCALL_SECRETS, or the checkout's secrets."""
    return Path(os.environ.get("ROLLCALL_SECRETS") or OWN_FILE).expanduser()


def read_secrets(path: Path) -> dict[str, Any]:
    """The sections of a secrets file; none where there is no file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # the error's own text could quote a secret
        raise ConfigError(f"{path} is not valid TOML, or cannot be read.") from error


def read_access() -> dict[str, Any]:
    """Section [access]; that of ROLLCALL_SECRETS replaces the checkout's. Raises ConfigError."""
    return (read_secrets(OWN_FILE) | read_secrets(secrets_path())).get("access", {})


def expand_variable(value: str) -> str:
    """The value; of one that starts with $, that of the environment. Raises UnsetVariable."""
    if not value.startswith("$"):
        return value
    variable = value.strip("${}")
    expanded = os.environ.get(variable)
    if not expanded:
        raise UnsetVariable(f"${variable}")
    return expanded
