"""The log: as the server writes it, or with ROLLCALL_LOG=json as one JSON object per line.

JSON lines go to other systems, so they contain no personal data: the type of an exception and its
place in the code, but not its message, which can quote the data.
"""

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
    """Writes time (UTC), level, logger and message; of an exception also `error` and `at`."""

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
    """Its frames, the innermost last, then those of its cause."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return [*lines, f"after {_exception_name(cause)}", *_frames(cause)] if cause else lines


def is_json_logging() -> bool:
    """Whether ROLLCALL_LOG asks for JSON."""
    return os.environ.get("ROLLCALL_LOG", "") == "json"


@cache
def configure_logging() -> None:
    """Count log lines at WARNING or above, and write JSON if ROLLCALL_LOG says so."""
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
        """Replace the handlers of Streamlit's loggers and of the server's.

        Request addresses are not logged, because they contain search terms.
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
            "Rollcall stopped.", exc_info=(error_type, error, traceback_)
        )
