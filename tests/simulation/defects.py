"""Plants each defect of defects.toml in a copy of the product; the simulator looks for it."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("data", "queries")

parser = argparse.ArgumentParser(prog="simulation.defects", description=__doc__)
parser.add_argument("words", nargs="*", help="of the names of defects (default: all)")
parser.add_argument("--lives", type=int, default=1, help="in which to look for a defect")
parser.add_argument("--days", type=int, default=60, help="of each life (default: 60)")


class Defect(NamedTuple):
    """A text of a file and what takes its place."""

    name: str
    file: str
    old: str
    new: str


class Verdict(NamedTuple):
    """The simulated days until the defect was found, and the words of the disagreement."""

    days: int
    words: str


def planted_defects() -> list[Defect]:
    """All defects of defects.toml."""
    with Path(__file__).with_name("defects.toml").open("rb") as file:
        return [Defect(**each) for each in tomllib.load(file)["defect"]]


def find(defect: Defect, lives: int, days: int) -> list[Verdict]:
    """How each life finds the defect. A life that does not find it is left out."""
    with TemporaryDirectory() as folder:
        for name in FOLDERS:
            shutil.copytree(ROOT / name, Path(folder, name))
        path = Path(folder, defect.file)
        path.write_text(path.read_text().replace(defect.old, defect.new))
        verdicts = [_look(Path(folder), seed, days) for seed in range(1, lives + 1)]
    return [verdict for verdict in verdicts if verdict]


def _look(folder: Path, seed: int, days: int) -> Verdict | None:
    """The first disagreement of a life. It counts days, so a busy machine changes nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seed", str(seed), "--days", str(days)],
        cwd=folder,  # where Python looks for modules first
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return None
    words = done.stderr.rpartition("Disagreement: ")[2]
    day = re.search(rf"^Seed {seed}, day (\d+)", words, re.MULTILINE)
    if not day:
        raise SystemExit(done.stderr)
    return Verdict(int(day[1]), words.splitlines()[0])


def main() -> None:
    """Print a Markdown table of the defects and how they were found."""
    options = parser.parse_args()
    defects = [
        defect
        for defect in planted_defects()
        if not options.words or any(word in defect.name for word in options.words)
    ]
    print("| defect | lives that found it | days (median) | first disagreement |")
    print("| --- | --- | --- | --- |", flush=True)
    found = 0
    for defect in defects:
        verdicts = find(defect, options.lives, options.days)
        found += bool(verdicts)
        days = round(statistics.median(each.days for each in verdicts)) if verdicts else "–"
        words = _check(verdicts[0].words) if verdicts else "not found"
        print(
            f"| {defect.name} | {len(verdicts)} of {options.lives} | {days} | {words} |", flush=True
        )
    print(f"\n{found} of {len(defects)} defects were found.")


def _check(words: str) -> str:
    """The kind of check in the words of a disagreement, without what differs from life to life."""
    words = re.sub(r" (of|as of|from|at) (Question|None|\d{4}-|figma|slack|jira).*", "", words)
    return re.sub(r"^\w+ at \S+ \S+", "a snapshot", words).replace("|", "/")[:70]


if __name__ == "__main__":
    main()
