"""What the environment says of how to serve: options of Streamlit.

By itself Streamlit looks there only where its own command starts the server.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import streamlit as st

from data.access.claims import Misconfigured
from server.logs import is_json


def from_environment() -> dict[str, Any]:
    """Option → value. Raises Misconfigured where what it names is not there."""
    told = os.environ.get
    options: dict[str, Any] = {
        "server.port": _number("PORT", 8501),
        "server.address": told("STREAMLIT_SERVER_ADDRESS") or st.get_option("server.address"),
        "server.maxUploadSize": _number(
            "STREAMLIT_SERVER_MAX_UPLOAD_SIZE", st.get_option("server.maxUploadSize")
        ),
        "logger.hideWelcomeMessage": is_json(),
    }
    if secrets := told("ROLLCALL_SECRETS"):
        path = Path(secrets).expanduser()
        if path.suffix != ".toml" or not os.access(path, os.R_OK):
            raise Misconfigured(f"ROLLCALL_SECRETS names no .toml file that can be read: {path}.")
        options["secrets.files"] = [*st.get_option("secrets.files"), str(path)]
    return options


def _number(name: str, usual: int) -> int:
    try:
        return int(os.environ.get(name) or usual)
    except ValueError as fault:
        raise Misconfigured(f"{name} is no whole number: {os.environ[name]}.") from fault
