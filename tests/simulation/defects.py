"""Plants each defect of defects.toml in a copy of the product; the simulator looks for it."""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("data", "queries")
SECONDS = 110
"""Of looking for one defect, so that all of them take less than an hour on two cores."""


class Defect(NamedTuple):
    """A text of a file and what takes its place."""

    name: str
    file: str
    old: str
    new: str


def planted_defects() -> list[Defect]:
    """All defects of defects.toml."""
    with Path(__file__).with_name("defects.toml").open("rb") as file:
        return [Defect(**each) for each in tomllib.load(file)["defect"]]


def find(defect: Defect) -> str:
    """How the simulator finds the defect, in one line; empty if it does not."""
    with TemporaryDirectory() as folder:
        for name in FOLDERS:
            shutil.copytree(ROOT / name, Path(folder, name))
        path = Path(folder, defect.file)
        path.write_text(path.read_text().replace(defect.old, defect.new))
        start = time.monotonic()
        for seed in range(1, 100):
            seconds = SECONDS - (time.monotonic() - start)
            if seconds <= 0:
                return ""
            if words := _look(Path(folder), seed, seconds):
                return f"after {time.monotonic() - start:.0f} s: {words}"
    return ""


def _look(folder: Path, seed: int, seconds: float) -> str:
    """The first line of the disagreement; empty without one."""
    command = [sys.executable, "-m", "simulation", "--seed", str(seed), "--days", "60"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,  # where Python looks for modules first
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    lines = [line for line in done.stderr.splitlines() if "Disagreement: " in line]
    return lines[-1].partition("Disagreement: ")[2] if lines else ""


if __name__ == "__main__":
    wanted = sys.argv[1:]
    defects = [f for f in planted_defects() if not wanted or any(word in f.name for word in wanted)]
    found = 0
    for defect in defects:
        words = find(defect)
        print(f"| {defect.name} | {words or 'NOT FOUND'} |", flush=True)
        found += bool(words)
    print(f"{found} of {len(defects)} defects were found.")
