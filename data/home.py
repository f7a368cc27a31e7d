"""Where Rollcall keeps what it has: one folder, named by ROLLCALL_HOME."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Home:
    """The folder of one installation and what is where in it."""

    root: Path

    @property
    def inbox(self) -> Path:
        """`<integration>/<taken_at>.<ext>`: snapshot files that wait to be loaded."""
        return self.root / "snapshots"

    @property
    def archive(self) -> Path:
        """Every loaded file, untouched; the store can be rebuilt from it."""
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
        """Where the store is: ROLLCALL_DATABASE_URL, or a DuckDB file in the home."""
        return os.environ.get("ROLLCALL_DATABASE_URL") or f"duckdb:///{self.root}/rollcall.duckdb"

    @property
    def sample(self) -> Path:
        """Stores of its own for the sample data, so that it never mixes with real data."""
        return self.root / "sample"

    @property
    def sample_removed(self) -> Path:
        """Exists once a person has removed the sample data."""
        return self.root / "sample-removed"

    @contextmanager
    def exclusive_lock(self, name: str) -> Iterator[None]:
        """Wait until no other process of the home does it; the turn ends with the process, too."""
        with (self.root / f".{name}").open("w") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            yield

    def is_sample_enabled(self) -> bool:
        """Whether an empty store shows sample data instead of nothing."""
        is_disabled = os.environ.get("ROLLCALL_NO_SAMPLE", "") not in ("", "0")
        return not is_disabled and not self.sample_removed.exists()


def current_home() -> Home:
    """The home that the environment names; `var/` in the checkout where it names none."""
    home = Home(Path(os.environ.get("ROLLCALL_HOME") or CHECKOUT / "var").expanduser().resolve())
    for folder in (home.inbox, home.archive, home.rejected):
        folder.mkdir(parents=True, exist_ok=True)
    return home
