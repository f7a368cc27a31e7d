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

from data.metrics import LOG_MESSAGES_TOTAL


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message; of an exception `error`, `at`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]):
            entry["message"] = entry["message"].replace(str(error) or "\0", "…")
            entry |= {"error": _exception_name(error), "at": _frames(error)}
        return json.dumps(entry, ensure_ascii=False)


def _exception_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _frames(error: BaseException) -> list[str]:
    """Where it came from, the innermost last; then the same of what caused it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return [*lines, f"after {_exception_name(cause)}", *_frames(cause)] if cause else lines


def is_json_logging() -> bool:
    """Whether the environment asks for lines of JSON."""
    return os.environ.get("ROLLCALL_LOG", "") == "json"


@cache
def configure_logging() -> None:
    """Count what is logged from warnings upwards; write JSON where that is asked for."""
    logging.setLogRecordFactory(_counted_record)
    if not is_json_logging():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.root.handlers = [handler]
    logging.getLogger("rollcall").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught

    def use_json_handler(logger: logging.Logger) -> None:
        """Streamlit gives a handler to each of its loggers, and to the server's.

        Which addresses are asked for is not logged: they hold what people look for.
        """
        logger.handlers = [handler] if logger.name != "uvicorn.access" else []

    streamlit.logger.setup_formatter = use_json_handler
    streamlit.logger.update_formatter()


def _counted_record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
    if record.levelno >= logging.WARNING:
        LOG_MESSAGES_TOTAL.labels(record.levelname.lower()).inc()
    return record


def _log_uncaught(
    error_type: type[BaseException], error: BaseException, traceback_: TracebackType | None
) -> None:
    if issubclass(error_type, KeyboardInterrupt):
        sys.__excepthook__(error_type, error, traceback_)
    else:
        logging.getLogger("rollcall").critical(
            "It ended.", exc_info=(error_type, error, traceback_)
        )
