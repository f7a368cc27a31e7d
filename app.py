"""The web app: `python app.py` serves it on http://127.0.0.1:8501 (PORT sets another port)."""

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import streamlit as st
from starlette.middleware import Middleware
from streamlit.web.bootstrap import load_config_options

from data.access.claims import ConfigError
from data.home import current_home
from data.secrets_file import secrets_path
from data.service.keeper import run_keeper
from data.service.retention import read_retention
from server.first_page import FirstPage
from server.gate import Gate
from server.letters import run_letters
from server.logs import configure_logging
from server.options import options_from_environment
from server.routes import EXCEPTION_HANDLERS, ROUTES
from server.session import exposure_error


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Keep the store open and load what comes into the inbox, while the server runs.

    However the server was started, it never serves a network without sign-in.
    """
    configure_logging()
    if message := exposure_error(st.get_option("server.address")):
        raise RuntimeError(message)
    address = f"http://{st.get_option('server.address')}:{st.get_option('server.port')}"
    home = current_home()
    with run_keeper(home, address), run_letters(home):
        yield


ROOT = Path(__file__).parent
LOOK = sorted((ROOT / "widgets" / "look").glob("*.css"), key=lambda path: path.stem == "print")
"""The styles of all pages; those for paper count last."""

app = st.App(
    ROOT / "pages" / "navigation.py",
    lifespan=lifespan,
    routes=ROUTES,
    middleware=[Middleware(Gate), Middleware(FirstPage, look=LOOK)],
    exception_handlers=EXCEPTION_HANDLERS,
)


def exit_misconfigured(message: str) -> NoReturn:
    """Exit with the code at which a service manager does not try again, as the unit in deploy/."""
    logging.getLogger("rollcall").error(message)
    sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    configure_logging()
    try:
        current_home()
        options = options_from_environment()
        load_config_options(options)
        read_retention(secrets_path())
        if exposed := exposure_error(st.get_option("server.address")):
            exit_misconfigured(exposed)
    except ConfigError as error:
        exit_misconfigured(f"Rollcall is not configured correctly. {error}")
    except OSError as error:
        sys.exit(f"Rollcall keeps its data in ROLLCALL_HOME. {error.filename}: {error.strerror}.")
    app.run(config=options)
