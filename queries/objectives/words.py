"""Results of objectives in words, without names of people."""

from collections.abc import Sequence

from data.formatting import capitalize_first, count_of, format_span, plural
from queries.objectives.budget import LONG, is_exhausted
from queries.objectives.kinds import MEASURES
from queries.objectives.results import STATUSES, ObjectiveResult
from queries.period import to_local


def headline(results: Sequence[ObjectiveResult]) -> str:
    """How many are broken, and how many burn."""
    counts = {status: sum(r.status == status for r in results) for status in STATUSES}
    broken, burning = counts["broken"], counts["burning"]
    total = count_of(len(results), "objective")
    if not results:
        return "No objective can be measured"
    if not broken and not burning:
        return "The objective is met" if len(results) == 1 else f"All {total} are met"
    verb = plural(broken, "is", "are")
    burn = f"{burning:,} {plural(burning, 'burns', 'burn')} too fast"
    if not broken:
        return f"All {total} are met; {burn}"
    return f"{broken:,} of {total} {verb} broken" + (f"; {burn}" if burning else "")


def sentence(result: ObjectiveResult) -> str:
    """What is found, and the objective: `12% of accounts failing; objective: at most 5%`."""
    return f"{capitalize_first(result.found)}; objective: {result.goal}."


def broken_text(result: ObjectiveResult, zone: str = "UTC") -> str:
    """Since when it is broken; empty where it is met."""
    since = result.broken_since
    return f"Broken since {to_local(since, zone):%-d %b %H:%M}." if since else ""


def budget_text(result: ObjectiveResult) -> str:
    """How much of the budget is spent and how fast, in sentences; empty without a budget."""
    budget = result.budget
    if budget is None:
        return ""
    if not budget.bad:
        return "None of the budget of 30 days is spent."
    short, long = (
        format_span((number * result.window).total_seconds(), units=1) for number in (1, LONG)
    )
    burns = f"{_times(budget.short_burn)} over {short}, {_times(budget.long_burn)} over {long}"
    text = f"{share_text(budget.spent)} of the budget of 30 days is spent, burning {burns}."
    if budget.exhausted_at:
        text += f" At this rate it is gone on {budget.exhausted_at:%-d %b}."
    return text


def share_text(spent: float) -> str:
    """`118%`; never 100% where more is spent."""
    percent = round(spent * 100)
    return f"{101 if percent == 100 and is_exhausted(spent) else percent:,}%"


def behind_text(result: ObjectiveResult) -> tuple[str, str]:
    """The accounts behind a result: `12 accounts`, and what follows, such as ` late now`."""
    words = MEASURES[result.kind].behind
    return count_of(result.accounts, "account"), words.replace("{}", "")


def _times(rate: float) -> str:
    return f"{rate:.1f}×"
