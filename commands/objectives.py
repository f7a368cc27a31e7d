"""`rollcall objectives`: whether each objective is met."""

import argparse
import json
from typing import Any

from commands import EXIT_OK, EXIT_REJECTED, EXIT_USAGE, fail
from data.formatting import iso_z
from data.home import current_home
from data.objectives import read_objectives
from data.store.engine import open_store
from queries.objectives.results import ObjectiveResult, measure
from queries.objectives.words import behind_text, broken_text, budget_text, sentence
from queries.scope import Scope
from queries.users.accounts import integration_names


def print_objectives(args: argparse.Namespace) -> int:
    """Print a line per objective, the worst first; exit code 1 if one is broken."""
    with open_store(current_home().database_url).connect() as con:
        known = integration_names(con)
        if unknown := [name for name in args.integration if name not in known]:
            return fail(
                f"There is no integration “{unknown[0]}”; expected one of {', '.join(known)}.",
                EXIT_USAGE,
            )
        objectives = read_objectives(con)
        scope = Scope(integration=tuple(args.integration), as_of=args.as_of)
        results, unmeasured = measure(con, scope, objectives)
    for result in results:
        print(json.dumps(_as_json(result), ensure_ascii=False) if args.json else _line(result))
    for problem in (*objectives.problems, *unmeasured):
        fail(problem)
    return EXIT_OK if all(result.is_met for result in results) else EXIT_REJECTED


def _line(result: ObjectiveResult) -> str:
    texts = [sentence(result), budget_text(result), broken_text(result)]
    if result.accounts and not result.is_met:
        texts.append(f"{''.join(behind_text(result))}.")
    return f"{result.status}: {result.integration}: {' '.join(filter(None, texts))}"


def _as_json(result: ObjectiveResult) -> dict[str, Any]:
    budget = result.budget
    moments = {"broken_since": result.broken_since, "exhausted_at": result.exhausted_at}
    return {
        "integration": result.integration,
        "objective": result.kind,
        "status": result.status,
        "target": result.target,
        "found": result.found,
        "accounts": result.accounts,
        "filters": _grouped(result),
        **{name: iso_z(at) if at else None for name, at in moments.items()},
        "budget_spent": budget and round(budget.spent, 4),
        "burn_short": budget and round(budget.short_burn, 4),
        "burn_long": budget and round(budget.long_burn, 4),
    }


def _grouped(result: ObjectiveResult) -> dict[str, list[str]]:
    """The filters as parameters of an address."""
    grouped: dict[str, list[str]] = {}
    for name, value in result.filters.params():
        grouped.setdefault(name, []).append(value)
    return grouped
