"""What proves an evidence pack: the archive, whose snapshots must give the same rows again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from sqlalchemy import Engine

from data.files.errors import SnapshotRefused
from data.files.mapping import mapping_of
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.store.engine import close_store, open_store
from queries.evidence.accounts import Accounts
from queries.evidence.findings import Findings
from queries.evidence.pack import FORMAT, MANIFEST, SEAL, Evidence, moment

KINDS: dict[str, type[Evidence]] = {kind.of: kind for kind in (Findings, Accounts)}
"""The kinds of evidence, by the manifest's word for them."""

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
        name, at, sha256 = each["integration"], moment(each["taken_at"]), each["sha256"]
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
            return _compared(KINDS[pack.manifest["of"]], engine, pack)
        finally:
            close_store(url)


def _compared(kind: type[Evidence], engine: Engine, pack: Pack) -> list[str]:
    kind.say_again(engine, pack.told)
    amiss, of = [], kind.rows_in
    with engine.connect() as con:
        anew = kind.again(con, pack.manifest)
        made = {name: b"".join(member()) for name, member in anew.members().items()}
        now = anew.manifest()
    for name, content in made.items():
        if content != pack.files.get(name):
            amiss.append(f"{name} does not follow from the snapshots.")
    if made[of] != pack.files[of]:
        amiss += _rows_that_differ(kind, json.loads(made[of]), pack.told(of))
    facts = {name: value for name, value in pack.manifest.items() if name != "files"}
    for name in sorted({*facts, *now} - {"rollcall"}):
        if facts.get(name) != now.get(name):
            amiss.append(f"The manifest’s {name} is not what follows from the snapshots.")
    return amiss


def _rows_that_differ(
    kind: type[Evidence], right: list[dict[str, Any]], told: list[dict[str, Any]]
) -> list[str]:
    """Which rows the pack has too many, too few, or otherwise."""
    rows, here = _by_name(kind, right), _by_name(kind, told)
    words = []
    for name in [*here, *(each for each in rows if each not in here)]:
        spoken = _spoken(name)
        if name not in rows:
            words.append(f"{spoken}: no such {kind.one_row} follows from the snapshots.")
        elif name not in here:
            words.append(f"{spoken}: the {kind.one_row} is missing from the pack.")
        elif rows[name] != here[name]:
            differ = [n for n, value in rows[name].items() if here[name].get(n) != value]
            words.append(f"{spoken}: {', '.join(differ) or 'further columns'} differ.")
    return _first(words)


def _by_name(
    kind: type[Evidence], rows: list[dict[str, Any]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(row[name] for name in kind.named_by): row for row in rows}


def _spoken(name: tuple[str, ...]) -> str:
    *rule, integration, account_id = name
    return ", ".join([*rule, f"account {account_id} of {integration}"])


def _first(words: list[str]) -> list[str]:
    more = len(words) - MOST_NAMED
    return [*words[:MOST_NAMED], f"And {more:,} more."] if more > 0 else words
