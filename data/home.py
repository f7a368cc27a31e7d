"""The home: the folder with the data of one installation, named by ROLLCALL_HOME."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from data.files.errors import UnknownSnapshot

CHECKOUT = Path(__file__).resolve().parent.parent

MAX_NAME_BYTES = 200
"""Bytes of a name that comes from outside. A file system takes 255, and Rollcall adds prefixes and
endings of its own."""

PRIVATE_UMASK = 0o077
"""Only the owner can read and write what Rollcall creates."""


def is_safe_name(name: str) -> bool:
    """Whether a name from outside can be the name of a folder or file of the home."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # bytes of a name that is not UTF-8
        return False
    if size > MAX_NAME_BYTES or not name.strip() or name.startswith("."):
        return False
    return not any(c in "/\\\x7f" or c < " " for c in name)


def safe_name(name: str) -> str:
    """The name. Every path that contains the name of an integration is built with it.

    Raises UnknownSnapshot where the name cannot be that of a folder.
    """
    if is_safe_name(name):
        return name
    shown = printable(name)
    raise UnknownSnapshot(
        f"“{shown[:60]}{'…' * (len(shown) > 60)}” cannot name an integration. A name is UTF-8 text "
        f"of at most {MAX_NAME_BYTES} bytes, is not empty, does not start with a dot and has no "
        "slashes or control characters."
    )


def printable(text: str) -> str:
    """The text on one line, without what no page, log or database can hold."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def database_url(file: Path) -> str:
    """The address of a DuckDB file, whatever characters its path has."""
    return sa.URL.create("duckdb", database=str(file)).render_as_string()


def is_regular_file(path: Path) -> bool:
    """Whether it is a file itself, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


@dataclass(frozen=True)
class Home:
    """The folder of one installation, or of the sample in it, which has a store of its own."""

    root: Path
    is_sample: bool = False

    @property
    def inbox(self) -> Path:
        """Snapshot files to load: `<integration>/<taken_at>.<ext>`."""
        return self.root / "snapshots"

    @property
    def archive(self) -> Path:
        """All loaded files, unchanged. The store can be rebuilt from them."""
        return self.root / "archive"

    @property
    def on_hold(self) -> Path:
        """Files that wait for a person's confirmation, each beside a `.reason.txt`."""
        return self.root / "on-hold"

    @property
    def rejected(self) -> Path:
        """Files that cannot be loaded, each beside a `.reason.txt`."""
        return self.root / "rejected"

    @property
    def removed(self) -> Path:
        """Files that a person removed or replaced. Only retention deletes them."""
        return self.root / "removed"

    @property
    def database_url(self) -> str:
        """The address of the store: ROLLCALL_DATABASE_URL, or a DuckDB file in the home."""
        own_store = database_url(self.root / "rollcall.duckdb")
        if self.is_sample:
            return own_store
        return os.environ.get("ROLLCALL_DATABASE_URL") or own_store

    @property
    def sample(self) -> Path:
        """The folder of the sample's home. Sample data never mixes with real data."""
        return self.root / "sample"

    @property
    def sample_removed(self) -> Path:
        """A file that exists once a person has removed the sample data."""
        return self.root / "sample-removed"

    @contextmanager
    def exclusive_lock(self, name: str) -> Iterator[None]:
        """Wait for a lock that one process of the home can hold. It ends with the process."""
        with (self.root / f".{name}").open("w") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            yield

    def is_sample_enabled(self) -> bool:
        """Whether sample data is shown while the store is empty."""
        is_disabled = os.environ.get("ROLLCALL_NO_SAMPLE", "") not in ("", "0")
        return not is_disabled and not self.sample_removed.exists()


def current_home() -> Home:
    """The home of ROLLCALL_HOME, or `var/` in the checkout. Raises OSError.

    From then on, only its owner can read what this process writes, DuckDB's files included.
    """
    os.umask(PRIVATE_UMASK)
    path = Path(os.environ.get("ROLLCALL_HOME") or CHECKOUT / "var")
    try:
        home = Home(path.expanduser().resolve())
    except RuntimeError as error:  # `~name`
        raise FileNotFoundError(errno.ENOENT, "No such user", str(path)) from error
    create_folders(home)
    _make_private(home.root)
    return home


def create_folders(home: Home) -> None:
    """Create the folders in which people look for files."""
    for folder in (home.inbox, home.archive, home.rejected):
        folder.mkdir(parents=True, exist_ok=True)


def make_home_private(home: Home) -> None:
    """Take the rights of others away from files that came into the home with them."""
    for folder, _, names in os.walk(home.root):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            _make_private(path)


def _make_private(path: Path) -> None:
    """Leave folders alone that are everybody's, like /tmp, and what belongs to another user."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        is_shared = mode & stat.S_ISVTX or stat.S_ISLNK(mode)
        if mode & PRIVATE_UMASK and not is_shared:
            path.chmod(stat.S_IMODE(mode) & ~PRIVATE_UMASK)
