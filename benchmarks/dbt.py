"""Loading beside dbt’s snapshot on DuckDB, which keeps the same kind of history."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.made import START, Accounts, a_store
from data.files.naming import SnapshotFile
from data.history.load import load

PROJECT = {
    "dbt_project.yml": "name: beside\nprofile: beside\nsnapshot-paths: [snapshots]\n",
    "profiles.yml": (
        "beside:\n  target: it\n  outputs:\n"
        "    it: {type: duckdb, path: beside.duckdb, threads: 2, settings: {memory_limit: 2GB}}\n"
    ),
    "snapshots/accounts.sql": (
        "{% snapshot accounts %}\n"
        "{{ config(unique_key='\"Username in app\"', strategy='check', check_cols='all',\n"
        "          hard_deletes='invalidate') }}\n"
        "SELECT * FROM read_csv('{{ var(\"file\") }}')\n"
        "{% endsnapshot %}\n"
    ),
}
"""Compares every column, and ends what is gone, as a load does."""


def against_dbt(folder: Path, accounts: int, rounds: int) -> list[str]:
    """Table rows: a load and `dbt snapshot` of the same file in turns.

    Inside: what dbt says that its statements took, and a load; neither counts the start of Python.
    As a command: both as somebody runs them.
    """
    try:
        program, project = _installed(folder), folder / "project"
    except subprocess.CalledProcessError:
        return ["| not measured: dbt could not be installed here | | | |"]
    for name, content in PROJECT.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    made, inside, command = Accounts(accounts), [], []
    home = folder / "commands"
    with a_store(folder, "beside") as (engine, _):
        for day in range(rounds + 1):
            at = START + timedelta(days=day)
            path = made.write(folder / f"app {at:%Y-%m-%dT%H-%M-%SZ}.csv")
            theirs, their_command = _snapshot(program, project, path)
            began = time.perf_counter()
            load(engine, SnapshotFile(path, "app", at))
            ours = time.perf_counter() - began
            our_command = _command(home, path, f"{at:%Y-%m-%dT%H:%M:%SZ}")
            if day:  # the first fills an empty store, which no figure here is of
                inside.append(theirs / ours)
                command.append(their_command / our_command)
            path.unlink()
            made.change()
    return [
        f"| inside | {median(inside):.2f} | {min(inside):.2f}–{max(inside):.2f} | {rounds} |",
        f"| as a command | {median(command):.2f} | {min(command):.2f}–{max(command):.2f} "
        f"| {rounds} |",
    ]


def _installed(folder: Path) -> Path:
    """dbt in an environment of its own, with the DuckDB that Rollcall has."""
    place = folder / "dbt"
    python = place / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
    wanted = ["dbt-core<1.12", "dbt-duckdb", f"duckdb=={version('duckdb')}"]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    return place / "bin" / "dbt"


def _snapshot(program: Path, project: Path, path: Path) -> tuple[float, float]:
    """Seconds inside, and of the whole command."""
    command = [program, "--no-send-anonymous-usage-stats", "snapshot", "--project-dir", project]
    command += ["--profiles-dir", project, "--vars", json.dumps({"file": str(path)})]
    began = time.perf_counter()
    subprocess.run(command, check=True, cwd=project, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - began
    results = json.loads((project / "target" / "run_results.json").read_text())
    return results["results"][0]["execution_time"], whole


def _command(home: Path, path: Path, at: str) -> float:
    """Seconds of `rollcall load`."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "rollcall", "load", path, "--integration", "app", "--taken-at", at],
        check=True,
        stdout=subprocess.DEVNULL,
        env={"ROLLCALL_HOME": str(home), "PATH": ""},
    )
    return time.perf_counter() - began
