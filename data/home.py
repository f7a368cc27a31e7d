"""The home: the folder with the data of one installation, named by ROLLCALL_HOME."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Home:
    """The folder of one installation."""

    root: Path

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
        """Files that a person removed or replaced. Nothing is ever deleted."""
        return self.root / "removed"

    @property
    def database_url(self) -> str:
        """The address of the store: ROLLCALL_DATABASE_URL, or a DuckDB file in the home."""
        return os.environ.get("ROLLCALL_DATABASE_URL") or f"duckdb:///{self.root}/rollcall.duckdb"

    @property
    def sample(self) -> Path:
        """The folder of the sample's store. Sample data never mixes with real data."""
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
    """The home of ROLLCALL_HOME, or `var/` in the checkout."""
    home = Home(Path(os.environ.get("ROLLCALL_HOME") or CHECKOUT / "var").expanduser().resolve())
    for folder in (home.inbox, home.archive, home.rejected):
        folder.mkdir(parents=True, exist_ok=True)
    return home
