"""What proves an evidence pack: the archive, whose snapshots must give the same rows again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from sqlalchemy import Engine, insert

from data.findings import Limits
from data.home import Home
from data.loading import load
from data.mapping import mapping_of
from data.refusals import SnapshotRefused
from data.snapshot_file import SnapshotFile
from data.store import close_store, open_store
from data.tables import accepted
from queries.evidence import FORMAT, MANIFEST, SEAL, Evidence, rules_named
from queries.held import View

MOST_NAMED = 10
"""Rows, files or snapshots that differ and are named; of more it is said how many."""

Progress = Callable[[int, int], None]
"""Told of every snapshot that is loaded: its number, and how many there are."""


class Pack(NamedTuple):
    """A pack as it was read."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def told(self, name: str) -> Any:
        """What a file of it says in JSON."""
        return json.loads(self.files[name])


class NoPack(ValueError):
    """The file cannot be read as an evidence pack; the message says why."""


def verify(path: Path, home: Home, progress: Progress) -> list[str]:
    """Why the pack is not proved by the archive of the home, in sentences; none where it is.

    Raises NoPack.
    """
    pack, amiss = _read(path)
    amiss += _broken_seals(pack)
    try:
        files = _snapshot_files(pack, home)
        missing = [words for words in files.values() if isinstance(words, str)]
        if missing:
            return amiss + _first(missing)
        return amiss + _differences(pack, home, files, progress)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        return [*amiss, f"The pack says something that cannot be understood: {fault!r}."]
    except SnapshotRefused as fault:
        return [*amiss, f"A snapshot of the archive cannot be loaded. {fault}"]


# ---- what the pack is ----------------------------------------------------------------------------


def _read(path: Path) -> tuple[Pack, list[str]]:
    """The pack, and what is wrong with it as a zip file."""
    try:
        with ZipFile(path) as pack:
            names = pack.namelist()
            files = {name: pack.read(name) for name in names}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
        raise NoPack(f"{path.name} is no zip file that can be read: {fault}.") from fault
    except Exception as fault:  # zlib's own error, which is no public class of zipfile
        raise NoPack(f"{path.name} is damaged: {fault}.") from fault
    try:
        manifest = json.loads(files[MANIFEST])
        form = manifest["format"]
    except (KeyError, TypeError, ValueError) as fault:
        raise NoPack(f"{path.name} has no manifest that can be read.") from fault
    if form != FORMAT:
        raise NoPack(f"{path.name} says that it is “{form}”; this Rollcall reads “{FORMAT}”.")
    twice = [name for name, times in Counter(names).items() if times > 1]
    return Pack(manifest, files), [f"{name} is in the pack more than once." for name in twice]


def _broken_seals(pack: Pack) -> list[str]:
    """The files whose hash is not what the manifest says, or which it does not name."""
    amiss, sealed = [], pack.manifest.get("files")
    sealed = sealed if isinstance(sealed, dict) else {}
    if pack.files.get(SEAL, b"").decode(errors="replace") != _sha256(pack.files[MANIFEST]):
        amiss.append(f"{MANIFEST} is not the file that {SEAL} seals.")
    for name in sorted({*sealed, *pack.files} - {MANIFEST, SEAL}):
        if name not in pack.files:
            amiss.append(f"{name} is missing from the pack.")
        elif name not in sealed:
            amiss.append(f"{name} is in the pack, and the manifest does not name it.")
        elif sealed[name] != {
            "sha256": _sha256(pack.files[name]),
            "bytes": len(pack.files[name]),
        }:
            amiss.append(f"{name} is not the file that the manifest seals.")
    return amiss


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- what it follows from ------------------------------------------------------------------------

Named = tuple[str, datetime]


def _snapshot_files(pack: Pack, home: Home) -> dict[Named, Path | str]:
    """Integration and moment → the snapshot's file in the archive, or why there is none."""
    found: dict[Named, Path | str] = {}
    for each in pack.told("snapshots.json"):
        name, at, sha256 = each["integration"], _moment(each["taken_at"]), each["sha256"]
        if (name, at) in found:
            found[name, at] = f"The snapshot of {name} at {at} is named twice."
        else:
            found[name, at] = _in_archive(home, name, at, sha256)
    return found


def _in_archive(home: Home, name: str, at: datetime, sha256: str) -> Path | str:
    folders = [p for p in home.archive.iterdir() if p.name == name] if home.archive.is_dir() else []
    files = [path for folder in folders for path in folder.glob(f"{at:%Y-%m-%dT%H-%M-%SZ}.*")]
    for path in files:
        with path.open("rb") as raw:
            if hashlib.file_digest(raw, "sha256").hexdigest() == sha256:
                return path
    which = f"{name} at {at:%Y-%m-%d %H:%M:%S} UTC"
    if files:
        return f"The archive’s snapshot of {which} has another hash than the pack names."
    return f"The archive has no snapshot of {which}."


# ---- whether it follows --------------------------------------------------------------------------


def _differences(
    pack: Pack, home: Home, files: dict[Named, Path | str], progress: Progress
) -> list[str]:
    """What comes out otherwise when the snapshots are loaded anew, in a place of their own."""
    with TemporaryDirectory(prefix="rollcall-verify-") as folder:
        url = f"duckdb:///{folder}/store.duckdb"
        try:
            engine = open_store(url)
            for number, ((name, at), path) in enumerate(files.items(), start=1):
                columns = mapping_of(home, name)
                load(engine, SnapshotFile(Path(path), name, at, columns), confirmed=True)
                progress(number, len(files))
            _repeat(engine, pack)
            return _compared(engine, pack)
        finally:
            close_store(url)


def _repeat(engine: Engine, pack: Pack) -> None:
    """Say again what people have said: it follows from no snapshot."""
    kinds = {"held_at": _moment, "accepted_at": _moment, "withdrawn_at": _moment, "until": _day}
    rows = [
        {name: kinds.get(name, _same)(value) for name, value in row.items()}
        for row in pack.told("accepted.json")
    ]
    with engine.begin() as con:
        con.execute(insert(accepted), rows) if rows else None


def _compared(engine: Engine, pack: Pack) -> list[str]:
    asked, amiss = pack.manifest["filter"], []
    view = View(
        integration=tuple(asked["integration"]),
        at=_moment(pack.manifest["as_of"]) if pack.manifest["as_of"] else None,
        limits=Limits.of(pack.manifest["limits"]),
        asked_at=_moment(pack.manifest["made_at"]),
    )
    with engine.connect() as con:
        anew = Evidence(con, view, rules_named(asked["rule"]))
        made = {name: b"".join(member()) for name, member in anew.members().items()}
    for name, content in made.items():
        if content != pack.files.get(name):
            amiss.append(f"{name} does not follow from the snapshots.")
    if made["findings.json"] != pack.files["findings.json"]:
        amiss += _rows_that_differ(json.loads(made["findings.json"]), pack.told("findings.json"))
    facts = {name: value for name, value in pack.manifest.items() if name != "files"}
    now = anew.facts()
    for name in sorted({*facts, *now} - {"rollcall"}):
        if facts.get(name) != now.get(name):
            amiss.append(f"The manifest’s {name} is not what follows from the snapshots.")
    return amiss


def _rows_that_differ(right: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    """Which findings the pack has too many, too few, or otherwise."""
    rows, here = _by_finding(right), _by_finding(told)
    words = []
    for finding in [*here, *(each for each in rows if each not in here)]:
        if finding not in rows:
            words.append(f"{_spoken(finding)}: no such finding follows from the snapshots.")
        elif finding not in here:
            words.append(f"{_spoken(finding)}: the finding is missing from the pack.")
        elif rows[finding] != here[finding]:
            differ = [n for n, value in rows[finding].items() if here[finding].get(n) != value]
            words.append(f"{_spoken(finding)}: {', '.join(differ) or 'further columns'} differ.")
    return _first(words)


def _by_finding(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {(row["rule"], row["integration"], row["account_id"]): row for row in rows}


def _spoken(finding: tuple[str, ...]) -> str:
    rule, integration, account_id = finding
    return f"{rule}, account {account_id} of {integration}"


def _first(words: list[str]) -> list[str]:
    more = len(words) - MOST_NAMED
    return [*words[:MOST_NAMED], f"And {more:,} more."] if more > 0 else words


def _moment(text: str | None) -> Any:
    """Naive UTC of what a pack says; None stays."""
    return datetime.fromisoformat(text.removesuffix("Z")) if text else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _same(value: Any) -> Any:
    return value
