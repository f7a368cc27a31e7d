"""A program that turns a workbook or a web page into CSV, with bounded memory and time.

The library holds a sheet as a rectangle of cells. Two cells that are far apart need more memory
than a machine has, and an allocation that fails ends the process: this one, not the app.
"""

import errno
import json
import resource
import sys
from contextlib import suppress

from data.files.html_table import copy_table
from data.files.sheets import Summary, copy_sheet

MAX_MEMORY_BYTES = 2 << 30
"""A sheet of a million accounts with ten columns takes half of it."""

MAX_CPU_SECONDS = 60
"""Four times what such a sheet takes."""


def _convert(path: str, copy_path: str, sheet: str) -> Summary:
    try:
        return (copy_table if path.endswith(".html") else copy_sheet)(path, copy_path, sheet)
    except MemoryError:
        return Summary(error="resources")
    except OSError as error:
        return Summary(error="size" if error.errno == errno.EFBIG else "damaged", detail=str(error))


def _set_limits(max_copy_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: MAX_MEMORY_BYTES,
        resource.RLIMIT_CPU: MAX_CPU_SECONDS,
        resource.RLIMIT_FSIZE: max_copy_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with suppress(ValueError, OSError):  # not every system has each of them
            resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    *arguments, max_copy_bytes = sys.argv[1:]
    _set_limits(int(max_copy_bytes))
    print(json.dumps(vars(_convert(*arguments))))
