"""What is delivered: the wheel, the bills of materials and the table of ASVS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
SOURCES = ("commands", "data", "queries", "server", "widgets")


def run(*command: str, cwd: Path, **environment: str) -> None:
    subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, check=True, text=True)


def wheel_of(folder: Path, mtime: int) -> bytes:
    """The wheel of a copy of the sources, whose files have another time."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "rollcall.py", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (mtime, mtime))
    build = "from setuptools import build_meta as b; b.build_wheel('out')"
    run(sys.executable, "-c", build, cwd=folder, SOURCE_DATE_EPOCH="1800000000")
    (wheel,) = (folder / "out").glob("*.whl")
    with ZipFile(wheel) as archive:
        assert {"rollcall.py", "server/sign_in.css"} <= set(archive.namelist())
    return wheel.read_bytes()


def test_a_wheel_has_the_same_bytes_whenever_and_wherever_it_is_built(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    assert wheel_of(tmp_path / "a", 1_700_000_000) == wheel_of(tmp_path / "b", 1_750_000_000)


def test_the_bills_of_materials_list_every_pinned_package_and_are_reproducible(
    tmp_path: Path,
) -> None:
    for name in "ab":
        run(sys.executable, ".ci/sbom", str(tmp_path / name), cwd=ROOT, SOURCE_DATE_EPOCH="9")
    files = sorted((tmp_path / "a").glob("*.json"))
    assert [file.name for file in files] == ["rollcall-image.cdx.json", "rollcall-runtime.cdx.json"]
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    image, runtime = (json.loads(file.read_text()) for file in files)
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert {(c["name"], c["version"]) for c in runtime["components"]} == set(pins)
    assert all(c["hashes"] for c in runtime["components"])
    assert image["components"][0]["type"] == "container", "the base"
    names = Counter(c["name"] for c in image["components"])
    assert names["numpy"] == 1, "of two pinned versions, the one for the image's Python"
    assert not names["colorama"], "only for Windows"


# ---- docs/asvs.md --------------------------------------------------------------------------------

CHAPTERS = [27, 11, 19, 10, 9, 35, 18, 7, 7, 29, 14, 9, 13, 9, 13, 16, 7]
"""Requirements of ASVS 5.0.0 at levels 1 and 2, by chapter."""
VERDICTS = ("met", "not applicable", "open")
ASVS = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| V(\d+)\.(\d+)\.(\d+) \| (.+) \| \*\*(.+?)\*\* \| (.+) \|$", ASVS, re.M)


def test_every_requirement_of_asvs_is_listed_once_in_order_with_a_verdict() -> None:
    numbers = [tuple(map(int, row[:3])) for row in ROWS]
    assert numbers == sorted(set(numbers))
    assert Counter(chapter for chapter, _, _ in numbers) == dict(enumerate(CHAPTERS, start=1))
    assert {verdict for *_, verdict, _ in ROWS} == set(VERDICTS)
    assert ASVS.count("\n| V") == len(ROWS) + len(CHAPTERS), "every row has this form"


def test_the_counts_of_asvs_are_those_of_its_rows() -> None:
    verdicts = Counter((row[0], row[4]) for row in ROWS)
    counts = re.findall(r"^\| V(\d+) .+ \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", ASVS, re.M)
    for chapter, total, *by_verdict in counts:
        assert [int(count) for count in by_verdict] == [verdicts[chapter, v] for v in VERDICTS]
        assert sum(map(int, by_verdict)) == int(total) == CHAPTERS[int(chapter) - 1]
    sums = [sum(int(row[n]) for row in counts) for n in range(1, 5)]
    assert f"| together | {' | '.join(map(str, sums))} |" in ASVS


def test_every_test_and_file_that_asvs_names_exists() -> None:
    for *number, _, verdict, because in ROWS:
        named = re.findall(r"`([\w.]+(?:/[\w.-]+)+)(?:::(\w+))?`", because)
        assert named or verdict != "met", number
        for path, test in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not test or f"def {test}(" in text, (path, test)
