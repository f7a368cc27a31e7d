"""The kinds of items: what each says, who may read it, and what it opens. The worst come first.

A number is that of the list which its link opens; no item has a number that nothing opens.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import NamedTuple

import pandas as pd
from sqlalchemy import func, select

from data.access.roles import Permission
from data.formatting import count_of, format_span, iso_z, plural
from data.inbox.quarantine import MISPLACED_FOLDER
from data.objectives import KINDS as OBJECTIVE_KINDS
from data.records.tables import quarantined_file
from data.schema import failure_reason, integration
from data.states import NO_REASON
from data.store.restricted_views import REASON_NOT_SHOWN
from queries.changes.accounts import count_changes
from queries.changes.diff import ChangeFilter, account_diff, condition_of
from queries.changes.window import Window
from queries.filters import Filters
from queries.health.integrations import integrations_as_of, stale_integrations
from queries.letter.letter import Item, Link, Severity
from queries.letter.reading import Reading, listing, plain
from queries.people.cells import matrix_cells
from queries.period import to_local
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULES
from queries.rounds.items import count_by_round
from queries.rounds.lists import Round, read_rounds
from queries.scope import Scope
from queries.snapshots import FileFilter

Items = Iterator[Item]

LEFT_AND_ACTIVE = ("left", "active")
"""The cell of the matrix of people that is worst: status of the person, and of the account."""


class Kind(NamedTuple):
    """A kind of item."""

    name: str
    find: Callable[[Reading], Items]
    permissions: tuple[Permission, ...]
    """Whoever has one of them may read it."""
    over: str = ""
    """The sentence for an alarm that has ended. Events have none."""

    @property
    def is_alarm(self) -> bool:
        """Whether its items last until they end."""
        return bool(self.over)


# ---- alarms --------------------------------------------------------------------------------------


def closed_store(since: datetime, zone: str, reason: str, *, can_read: bool) -> Item:
    """That nobody can use the store, or load into it, since a moment (naive UTC)."""
    state = "read-only" if can_read else "closed"
    text = f"The store has been {state} since {to_local(since, zone):%-d %b %H:%M}"
    detail = f". {reason} All other letters wait."
    return Item("store", "store:", "alarm", text, detail, link=Link(""), is_ongoing=True)


def _silent(reading: Reading) -> Items:
    """Integrations that are stale, as Health has them, or break their objective of snapshots."""
    integrations = integrations_as_of(reading.con, Scope(as_of=reading.until))
    late = [r.integration for r in reading.missed_objectives if r.kind == "snapshot"]
    is_late = integrations["integration"].isin(late)
    silent = integrations[stale_integrations(integrations, reading.until) | is_late]
    columns = (silent[name] for name in ("integration", "taken_at", "usual_interval"))
    for name, taken_at, usual in zip(*columns, strict=True):
        age = reading.until - taken_at
        rhythm = "" if pd.isna(usual) else format_span(usual.total_seconds(), units=1)
        yield Item(
            "silent",
            f"silent:{name}",
            "alarm",
            f"{plain(name)} has been silent for {format_span(age.total_seconds(), units=1)}",
            f"; it usually sends a snapshot every {rhythm}" if rhythm else "",
            link=reading.link(Permission.SNAPSHOTS, "snapshots", ("integration", name))
            or reading.link(Permission.HEALTH, "health", ("integration", name)),
            integration=name,
            is_ongoing=True,
        )


def _missed(objective: str, reading: Reading) -> Items:
    """The integrations that break an objective or soon will, with the accounts behind it."""
    for result in reading.missed_objectives:
        if result.kind != objective:
            continue
        name, accounts = plain(result.integration), result.accounts
        who = f"{count_of(accounts, 'account')} of {name}" if accounts else name
        is_broken, gone = result.status == "broken", result.exhausted_at
        words = ("breaks", "break") if is_broken else ("begins to break", "begin to break")
        details = (
            result.target,
            result.found if result.spent is not None else "",
            f"at this rate its budget is gone on {gone:%-d %b}" if gone else "",
        )
        yield Item(
            f"objective-{objective}",
            f"objective-{objective}:{result.integration}",
            "alarm",
            f"{who} {plural(accounts or 1, *words)} an objective",
            f": {'; '.join(filter(None, details))}",
            accounts or None,
            reading.link(Permission.USERS, "users", *result.filters.params()) if accounts else None,
            result.integration,
            is_ongoing=True,
        )


def _failed_pulls(reading: Reading) -> Items:
    """Pulls that keep failing. Only people who load files see the reason, as on Snapshots."""
    for name, _, message in reading.failing_pulls:
        yield Item(
            "pull",
            f"pull:{name}",
            "alarm",
            f"The pull of {plain(name)} fails",
            f": {plain(message, 120)}" if message else "",
            link=reading.link(Permission.SNAPSHOTS, "snapshots", ("integration", name)),
            integration=name,
            is_ongoing=True,
        )


def _on_hold(reading: Reading) -> Items:
    yield from _quarantined(reading, "hold", "on hold", "alarm", "review needed")


def _rejected(reading: Reading) -> Items:
    yield from _quarantined(reading, "rejected", "rejected", "bad", "not loaded")


def _quarantined(
    reading: Reading, kind: str, status: str, severity: Severity, effect: str
) -> Items:
    """All files of the status, by integration; of rejected ones, if one is of the period."""
    file = quarantined_file.c
    found = (
        select(file.integration, func.count().label("files"))
        .where(file.status == status, file.quarantined_at <= reading.until)
        .group_by(file.integration)
        .order_by(file.integration)
    )
    if status == "rejected":
        found = found.having(func.max(file.quarantined_at) > reading.since)
    for name, files in reading.con.execute(found):
        of = "outside of a folder" if name == MISPLACED_FOLDER else f"of {plain(name)}"
        can_open = reading.can(Permission.SNAPSHOTS, Permission.LOAD_FILES)
        params = FileFilter(status, (name,)).params()
        yield Item(
            kind,
            f"{kind}:{name}",
            severity,
            f"{count_of(files, 'file')} {of} {'is' if files == 1 else 'are'} {status}",
            f"; {effect}",
            files,
            reading.link(Permission.SNAPSHOTS, "snapshots", *params) if can_open else None,
            name,
            is_ongoing=status == "on hold",
        )


# ---- failures ------------------------------------------------------------------------------------


def _new_failures(reading: Reading) -> Items:
    for window in reading.windows:
        yield from _failures(reading, window, "failed", "bad", ("new failure", ""))


def _resolved_failures(reading: Reading) -> Items:
    for window in reading.windows:
        yield from _failures(reading, window, "resolved", "good", ("failure", " resolved"))


def _failures(
    reading: Reading, window: Window, change: str, severity: Severity, words: tuple[str, str]
) -> Items:
    """The accounts of a list of Changes, with their integrations and their main reasons."""
    change_filter = ChangeFilter(change)
    count = count_changes(reading.con, window, change_filter)
    if not count:
        return
    diff = account_diff(window)
    side = "after" if change == "failed" else "before"
    reason = diff.c[f"{side}_failure_reason"]
    accounts = func.count().label("accounts")
    groups = reading.con.execute(
        select(integration.c.name, reason.label("reason"), accounts)
        .join_from(diff, integration, integration.c.integration_id == diff.c.integration_id)
        .where(condition_of(window, change_filter, diff.c))
        .group_by(integration.c.name, reason)
    ).all()
    names = _most_first((row.name, row.accounts) for row in groups)
    reasons = _most_first((row.reason, row.accounts) for row in groups if _is_named(row.reason))
    often = "most often" if len({row.reason for row in groups}) > 1 else "with"
    detail = f", {often} “{plain(_reason_text(reading, reasons[0]), 80)}”" if reasons else ""
    params = (*window.params(), *change_filter.params())
    yield Item(
        change,
        f"{change}:{reading.name_of(window)}",
        severity,
        f"{count_of(count, words[0])}{words[1]} in {listing(names)}",
        detail,
        count,
        reading.link(Permission.CHANGES, "changes", *params),
        names[0] if len(names) == 1 else None,
    )


def _most_first(counts: Iterable[tuple[str, int]]) -> list[str]:
    """The names by the sum of their counts, then by name."""
    totals = Counter[str]()
    for name, count in counts:
        totals[name] += count
    return sorted(totals, key=lambda name: (-totals[name], name))


def _reason_text(reading: Reading, reason: str) -> str:
    """A failure code with its text, if it has one that the reader may see."""
    query = select(func.min(failure_reason.c.template)).where(failure_reason.c.reason == reason)
    template = reading.con.scalar(query)
    return f"{reason}: {template}" if template and template != reason else reason


def _is_named(reason: str | None) -> bool:
    return reason not in (None, NO_REASON, REASON_NOT_SHOWN)


# ---- people and rules ----------------------------------------------------------------------------


def _leavers(reading: Reading) -> Items:
    """Active accounts of people who left, if there are more than before.

    Readers of Review get them as findings, which respect exceptions.
    """
    if reading.can(Permission.REVIEW):
        return
    now, before = (_count_leavers(reading, at) for at in (reading.until, reading.since))
    if now <= before:
        return
    filters = Filters(person="left", account="active", as_of=reading.until)
    yield Item(
        "leavers",
        "leavers:",
        "bad",
        f"{count_of(now, 'active account')} of people who left",
        ", more than before",
        now,
        reading.link(Permission.USERS, "users", *filters.params())
        or reading.link(Permission.PEOPLE, "people", *Scope(as_of=reading.until).params()),
    )


def _count_leavers(reading: Reading, as_of: datetime) -> int:
    cells = matrix_cells(reading.con, Scope(as_of=as_of), reading.rule_settings.grace_days)
    return sum(cell.accounts for cell in cells if (cell.person, cell.account) == LEFT_AND_ACTIVE)


def _new_findings(reading: Reading) -> Items:
    for window in reading.windows:
        view = _view(reading, window, window.until, found_after=window.since)
        yield from _findings(reading, window, view, "found", "new finding", bad=("high",))


def _findings_gone(reading: Reading) -> Items:
    for window in reading.windows:
        view = _view(reading, window, window.since, gone_by=window.until)
        yield from _findings(reading, window, view, "gone", "finding")


def _view(reading: Reading, window: Window, as_of: datetime, **narrowing: datetime) -> View:
    integrations = window.integration
    return View(integration=integrations, as_of=as_of, limits=reading.rule_settings, **narrowing)


def _findings(
    reading: Reading,
    window: Window,
    view: View,
    kind: str,
    noun: str,
    *,
    bad: Sequence[str] = (),
) -> Items:
    """Open findings by rule, the severest rule first."""
    for rule in RULES:
        count = count_findings(reading.con, view, rule).open
        if not count:
            continue
        moments = {"found_after": view.found_after, "gone_by": view.gone_by}
        params = [(name, iso_z(moment)) for name, moment in moments.items() if moment]
        severity: Severity = "bad" if rule.severity in bad else "note"
        yield Item(
            kind,
            f"{kind}:{rule.name}:{reading.name_of(window)}",
            "good" if kind == "gone" else severity,
            count_of(count, noun) + (" gone" if kind == "gone" else ""),
            f": {rule.title}",
            count,
            reading.link(Permission.REVIEW, "review", ("rule", rule.name), *view.params(), *params),
        )


# ---- rounds --------------------------------------------------------------------------------------


def _late_rounds(reading: Reading) -> Items:
    """Open rounds whose last day ended in the period, and what was revoked and is now late."""
    rounds = [round_ for round_ in read_rounds(reading.con) if not round_.closed_at]
    now = count_by_round(reading.con, rounds, reading.until)
    before = count_by_round(reading.con, rounds, reading.since)
    for round_ in rounds:
        ends_at = datetime.combine(round_.last_day + timedelta(days=1), time.min)
        counts = now[round_.round_id]
        if (undecided := counts["undecided"]) and reading.since < ends_at <= reading.until:
            noun = "role" if round_.is_by_role else "account"
            text = f"{count_of(undecided, noun)} still undecided after the last day"
            yield _round_item(reading, round_, "undecided", text, undecided)
        if (late := counts["late"]) > before[round_.round_id]["late"]:
            text = f"{late:,} revoked, but still there after {count_of(round_.late_days, 'day')}"
            yield _round_item(reading, round_, "late", text, late)


def _round_item(reading: Reading, round_: Round, outcome: str, text: str, count: int) -> Item:
    return Item(
        "round",
        f"round:{round_.round_id}:{outcome}",
        "note",
        text,
        f": round “{plain(round_.name)}”",
        count,
        reading.link(
            Permission.REVIEW_ROUNDS, "rounds", ("round", round_.round_id), ("show", outcome)
        ),
    )


# ---- all kinds -----------------------------------------------------------------------------------

KINDS: tuple[Kind, ...] = (
    Kind(  # whoever can read the store finds it open: see closed_store
        "store",
        lambda _: iter(()),
        (Permission.HEALTH, Permission.USERS),
        "The store is open again",
    ),
    Kind("silent", _silent, (Permission.HEALTH, Permission.SNAPSHOTS), "{} sends snapshots again"),
    *(
        Kind(
            f"objective-{kind.name}",
            partial(_missed, kind.name),
            (Permission.HEALTH,),
            f"{{}} meets an objective again: {kind.title}",
        )
        for kind in OBJECTIVE_KINDS
        if kind.name != "snapshot"  # that is being silent
    ),
    Kind("pull", _failed_pulls, (Permission.LOAD_FILES,), "The pull of {} no longer fails"),
    Kind(
        "hold",
        _on_hold,
        (Permission.HEALTH, Permission.SNAPSHOTS),
        "No file of {} is on hold anymore",
    ),
    Kind("failed", _new_failures, (Permission.HEALTH, Permission.CHANGES)),
    Kind("leavers", _leavers, (Permission.PEOPLE,)),
    Kind("found", _new_findings, (Permission.REVIEW,)),
    Kind("rejected", _rejected, (Permission.HEALTH, Permission.SNAPSHOTS)),
    Kind("round", _late_rounds, (Permission.REVIEW_ROUNDS,)),
    Kind("resolved", _resolved_failures, (Permission.HEALTH, Permission.CHANGES)),
    Kind("gone", _findings_gone, (Permission.REVIEW,)),
)
KIND_BY_NAME = {kind.name: kind for kind in KINDS}
