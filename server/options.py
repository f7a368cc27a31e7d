"""Reads Streamlit's options from the environment, as Streamlit does only under its own command."""

import os
from pathlib import Path
from typing import Any

import streamlit as st

from data.access.claims import ConfigError
from server.logs import is_json_logging


def options_from_environment() -> dict[str, Any]:
    """Option → value. Raises ConfigError for a wrong value."""
    getenv = os.environ.get
    options: dict[str, Any] = {
        "server.port": _integer("PORT", 8501),
        "server.address": getenv("STREAMLIT_SERVER_ADDRESS") or st.get_option("server.address"),
        "server.maxUploadSize": _integer(
            "STREAMLIT_SERVER_MAX_UPLOAD_SIZE", st.get_option("server.maxUploadSize")
        ),
        "logger.hideWelcomeMessage": is_json_logging(),
    }
    if secrets := getenv("ROLLCALL_SECRETS"):
        path = Path(secrets).expanduser()
        if path.suffix != ".toml" or not os.access(path, os.R_OK):
            raise ConfigError(f"ROLLCALL_SECRETS does not name a readable .toml file: {path}.")
        options["secrets.files"] = [*st.get_option("secrets.files"), str(path)]
    return options


def _integer(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name) or default)
    except ValueError as error:
        raise ConfigError(f"{name} is not a whole number: {os.environ[name]}.") from error
