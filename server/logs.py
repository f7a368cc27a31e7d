"""The program's log: as the server writes it, or with ROLLCALL_LOG=json one JSON object a line.

Those lines go to where logs are gathered, so they hold nothing personal: of an exception its type
and where it came from, not what it says, which can quote the data.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from functools import cache
from types import TracebackType

import streamlit.logger

from data.metrics import LOGGED


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message; of an exception `error`, `at`."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]):
            told["message"] = told["message"].replace(str(error) or "\0", "…")
            told |= {"error": _kind(error), "at": _frames(error)}
        return json.dumps(told, ensure_ascii=False)


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _frames(error: BaseException) -> list[str]:
    """Where it came from, the innermost last; then the same of what caused it."""
    frames = traceback.extract_tb(error.__traceback__)
    named = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return [*named, f"after {_kind(cause)}", *_frames(cause)] if cause else named


def is_json() -> bool:
    """Whether the environment asks for lines of JSON."""
    return os.environ.get("ROLLCALL_LOG", "") == "json"


@cache
def set_up() -> None:
    """Count what is logged from warnings upwards; write JSON where that is asked for."""
    logging.setLogRecordFactory(_counted)
    if not is_json():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.root.handlers = [handler]
    logging.getLogger("rollcall").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught

    def as_json(logger: logging.Logger) -> None:
        """Streamlit gives a handler to each of its loggers, and to the server's.

        Which addresses are asked for is not logged: they hold what people look for.
        """
        logger.handlers = [handler] if logger.name != "uvicorn.access" else []

    streamlit.logger.setup_formatter = as_json
    streamlit.logger.update_formatter()


def _counted(*told: object, **more: object) -> logging.LogRecord:
    record = logging.LogRecord(*told, **more)  # type: ignore[arg-type]
    if record.levelno >= logging.WARNING:
        LOGGED.labels(record.levelname.lower()).inc()
    return record


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("rollcall").critical("It ended.", exc_info=(kind, error, trace))
