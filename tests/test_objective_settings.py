"""Where objectives are defined: defaults, the file, and what is edited on Health."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from builders import TODAY, a_snapshot_file, an_account
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient
from viewing import ADA, BOB, in_plain_words, load_all, page

import rollcall
from data.access.roles import LOCAL
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import CHECKOUT, Home
from data.objectives import (
    DEFAULTS,
    KIND_BY_NAME,
    USUAL,
    Defined,
    Objective,
    objective_value,
    parse_objective,
    read_objectives,
    save_objectives,
    target_text,
)
from data.service.rebuild import rebuild
from data.store.engine import open_store
from server.routes import ROUTES
from server.session import request_principal

DAY = timedelta(days=1)


def a_file(folder: Path, text: str) -> Path:
    path = folder / "objectives.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[all]\nfailing = 5", "[all] failing: found 5; expected { percent = 95 } or false."),
        (
            '[all]\nfailing = { percent = "x" }',
            "[all] failing.percent: found 'x'; expected a number above 0 and below 100.",
        ),
        (
            "[all]\nfailing = { percent = 100 }",
            "[all] failing.percent: found 100; expected a number above 0 and below 100.",
        ),
        (
            '[integration."Big App"]\nleavers = { within = "1w" }',
            "[integration.Big App] leavers.within: found '1w'; expected hours or days, such as 4h "
            "or 7d.",
        ),
        (
            "[all]\nspeed = { percent = 5 }",
            f"[all] speed: expected one of {', '.join(KIND_BY_NAME)}.",
        ),
        ("[some]\n", "[some]: expected [all], or [integration.NAME] with the name of one."),
        ("all = 3", "[all]: found 3; expected objectives below it."),
    ],
)
def test_a_wrong_value_is_named_and_the_rest_counts(
    con: Connection, tmp_path: Path, text: str, problem: str
) -> None:
    more = '\n[integration.figma]\nsnapshot = { within = "26h" }\n'
    found = read_objectives(con, a_file(tmp_path, text + more))
    assert found.problems == (f"objectives.toml, {problem}",)
    expected = Defined(Objective(within=timedelta(hours=26)), "file")
    assert found.of("figma")["snapshot"] == expected


def test_a_file_that_is_not_toml_leaves_the_defaults(con: Connection, tmp_path: Path) -> None:
    found = read_objectives(con, a_file(tmp_path, "[all"))
    assert found.problems[0].startswith("objectives.toml is not valid TOML: ")
    assert {kind: each.objective for kind, each in found.of("figma").items()} == DEFAULTS


def test_the_example_explains_every_kind_and_is_valid(con: Connection) -> None:
    found = read_objectives(con, CHECKOUT / ".streamlit" / "objectives.toml.example")
    assert found.problems == ()
    assert found.of("figma").keys() == KIND_BY_NAME.keys()
    assert found.of("Salesforce EMEA")["failing_for"] == Defined(None, "file")


def test_what_is_edited_wins_and_one_integration_before_all(
    store: Engine, con: Connection, tmp_path: Path
) -> None:
    path = a_file(
        tmp_path, "[all]\nfailing = { percent = 5 }\n[integration.slack]\nfailing = { percent = 6 }"
    )
    save_objectives(store, "", {"failing": Objective(7), "failing_for": None})
    save_objectives(store, "github", {"failing": Objective(8)})
    found = read_objectives(con, path)
    failing = {name: found.of(name)["failing"] for name in ("figma", "slack", "github")}
    assert failing == {
        "figma": Defined(Objective(7), "edited"),
        "slack": Defined(Objective(6), "file"),
        "github": Defined(Objective(8), "edited"),
    }
    assert found.of("figma")["failing_for"] == Defined(None, "edited")
    save_objectives(store, "", {})
    con.rollback()
    assert read_objectives(con, path).of("figma")["failing"].source == "file"


@pytest.mark.parametrize("kind", KIND_BY_NAME.values(), ids=lambda kind: kind.name)
def test_an_objective_is_written_as_it_is_read(kind) -> None:
    parts = {"percent": 97.5, "within": 36 * timedelta(hours=1)}
    objective = Objective(**{part: parts[part] for part in kind.parts})
    assert (
        parse_objective(kind.name, json.loads(json.dumps(objective_value(objective)))) == objective
    )
    assert "{" not in target_text(kind, objective)


def test_the_usual_interval_can_be_chosen_again() -> None:
    assert parse_objective("snapshot", objective_value(USUAL)) == USUAL


def test_edited_objectives_survive_a_rebuild(home: Home) -> None:
    load_all(home, ADA)
    save_objectives(open_store(home.database_url), "figma", {"failing": Objective(3)})
    rebuild(home, lambda *_: None)
    with open_store(home.database_url).connect() as con:
        assert read_objectives(con).of("figma")["failing"] == Defined(Objective(3), "edited")


# ---- on the command line -------------------------------------------------------------------------


def run(*words: str) -> int:
    try:
        return rollcall.main(["objectives", *words])
    except SystemExit as end:
        return int(end.code or 0)


def test_the_exit_code_says_whether_one_is_broken(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for days, state in ((8, "Update failed"), (0, "Update failed")):
        delivered = a_snapshot_file(
            tmp_path, [an_account(state=state)], at=TODAY - days * DAY, integration="figma"
        )
        assert rollcall.main(["load", str(delivered)]) == 0
    capsys.readouterr()
    assert run() == 1
    line = capsys.readouterr().out
    assert line == (
        "broken: figma: Accounts failing for 7 days or longer; objective: none. "
        "Broken since 22 Nov 06:00. 1 account.\n"
    )
    assert run("--as-of", "2026-11-16", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["objective"]) == ("met", "failing_for")
    assert result["filters"]["integration"] == ["figma"]
    assert run("--integration", "slack") == 2
    assert "expected one of figma" in capsys.readouterr().err
    assert run("--as-of", "soon") == 2


def test_metrics_are_what_the_command_prints(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for days, states in (
        (2, ["Onboarded"] * 9),
        (1, ["Onboarded"] * 9),
        (0, ["Update failed"] * 9),
    ):
        rows = [an_account(f"a{number}", state=state) for number, state in enumerate(states)]
        file = a_snapshot_file(tmp_path, rows, at=TODAY - days * DAY)
        assert rollcall.main(["load", str(file)]) == 0
    save_objectives(open_store(home.database_url), "", {"failing": Objective(20)})
    request_principal.set(LOCAL)
    with TestClient(Starlette(routes=ROUTES)) as client:
        families = [*text_string_to_metric_families(client.get("/metrics").text)]
    values = {
        (sample.name.removeprefix("rollcall_objective_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    capsys.readouterr()
    run("--json")
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {result["objective"] for result in printed} == {"failing", "failing_for", "snapshot"}
    for result in printed:
        of = result["integration"], result["objective"]
        assert values["met", *of] == (result["status"] != "broken")
        for name, printed_as in (
            (("budget_spent_ratio", *of), "budget_spent"),
            (("burn_rate", *of, "short"), "burn_short"),
            (("burn_rate", *of, "long"), "burn_long"),
        ):
            assert values.get(name) == pytest.approx(result[printed_as], abs=1e-4)


# ---- on Health -----------------------------------------------------------------------------------


def test_health_names_what_is_broken_and_changes_an_objective(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = page("health.py")
    block = shown.run.get_by_key("objectives")
    assert "The objective is met" in [each.value for each in block.subheader]
    run = shown.run
    run.toggle(key="objective_settings").set_value(True).run()
    run.toggle(key="objective_failing_").set_value(True).run()
    run.number_input(key="objective_failing__percent").set_value(20.0)
    run.button(key="objectives_save").click().run()
    assert not run.exception
    assert "1 of 2 objectives is broken" in [s.value for s in run.subheader]
    texts = " ".join(each.value for each in run.markdown)
    assert "50% of accounts failing in 30 days" in texts.replace("\\", "")
    with open_store(home.database_url).connect() as con:
        assert read_objectives(con).of("figma")["failing"] == Defined(Objective(20), "edited")
    run.button(key="objectives_reset").click().run()
    assert "The objective is met" in [s.value for s in run.subheader]


def test_a_row_of_health_names_the_first_integrations_and_counts_the_others(home: Home) -> None:
    engine = open_store(home.database_url)
    failing = an_account(state="Update failed")
    for name in "abcde":
        for days in (9, 1):
            at = TODAY - days * DAY
            file = a_snapshot_file(home.inbox, [failing], integration=name, at=at)
            load(engine, SnapshotFile(file, name, at))
    texts = " ".join(each.value for each in page("health.py").run.markdown)
    texts = in_plain_words(texts).replace("&nbsp;", " ")
    assert ", c since " in texts
    assert ", d since " not in texts
    assert ", and 2 integrations more." in texts


def test_a_wrong_objective_is_not_saved(home: Home) -> None:
    load_all(home, ADA)
    run = page("health.py").run
    run.toggle(key="objective_settings").set_value(True).run()
    run.text_input(key="objective_failing_for__within").set_value("soon")
    run.button(key="objectives_save").click().run()
    assert "expected hours or days" in run.error[0].value.replace("\\", "")
