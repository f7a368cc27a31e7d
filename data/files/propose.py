"""Proposes which heading is which column, from the headings and the values below them.

A proposal is a function of the set of a file's rows: their order, and that of the columns, do not
matter. What is sure is used; what is not waits for a person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection, and_, func, select

from data.files.column_values import INVERTED, NO_STATUS, VALUES
from data.files.events import find_events
from data.files.headers import (
    COLUMN_OF_PART,
    OWN_HEADINGS,
    can_be_coded,
    is_about_others,
    is_credential,
    is_documented,
    is_end,
    is_kind,
    is_place,
    own_columns,
    partial_columns,
    ranks_of,
)
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.profile import LABELS, Profile, count_words, profile_columns
from data.files.proposal import Guess, Proposal, says_inactive
from data.files.relation import FileRows
from data.files.resources import find_resource
from data.files.text import is_word, trim_or_null
from data.values.words import NO, YES, activity

WORD_COLUMNS = ("provisioning_state", "active_in_app")
"""The columns with words of the file's own."""

SEVERAL = "accounts have a row for each"
RESOURCE = f"{SEVERAL}, so roles say on which: Admin on Jira"

MAX_STATUSES = 12
"""Different words for the status of an account; with more, the column is something else."""

MOSTLY = 0.8
"""Share of the values that makes a column one of their kind."""


def propose_mapping(
    con: Connection, rows: FileRows, saved: ColumnMapping = NO_MAPPING, *, with_words: bool = False
) -> Proposal:
    """How to read the columns of a file. What a person has saved always wins.

    A file with Rollcall's own headings is not profiled. `with_words` counts the words of states
    and activity in the whole file.
    """
    headings = tuple(rows.cells)
    columns = {name: saved.present(name, headings) for name in saved.columns}
    used = {heading for found in columns.values() for heading in found}
    free = [h for h in rows.cells if h not in used and not is_credential(h)]
    own = {name: h for name, h in own_columns(sorted(free)).items() if name not in columns}
    if "username_in_app" in own:
        columns |= {name: (heading,) for name, heading in own.items()}
        free = [heading for heading in free if heading not in own.values()]
    profiles: Mapping[str, Profile] = {}
    if columns.get("username_in_app") and not _can_be_others(free, columns):
        proposal = Proposal(headings, saved.with_columns(columns))
    else:
        profiles = profile_columns(con, rows)
        proposal = _Proposer(saved, columns, profiles, free).propose(headings)
        proposal = replace(proposal, contradictions=_contradictions(con, rows, proposal))
    proposal = _with_resource(con, rows, proposal, saved)
    if profiles and "provisioning_state" not in own:
        events = find_events(con, rows, proposal, profiles, [*used])
        proposal = replace(proposal, events=events)
    if not with_words:
        return proposal
    found = {name: proposal.mapping.columns.get(name, ()) for name in WORD_COLUMNS}
    words = {name: count_words(con, rows, h[0]) for name, h in found.items() if h}
    return replace(proposal, words=words)


def _contradictions(con: Connection, rows: FileRows, proposal: Proposal) -> dict[str, int]:
    """The rows of the whole file that are active, and suspended, locked or the like."""
    look_alikes = [h for h in proposal.look_alikes if "active_in_app" in _ranked_columns(h)]
    if not look_alikes or not proposal.mapping.columns.get("active_in_app"):
        return {}
    cells = {"active": proposal.mapping.cell("active_in_app", rows.cells)}
    cells |= {f"other_{n}": rows.cells[h] for n, h in enumerate(look_alikes)}
    texts = (trim_or_null(cell).label(name) for name, cell in cells.items())
    cell = select(*texts).select_from(rows.records).subquery("cell")
    is_active, *others = cell.c
    contradict = (
        func.count().filter(
            and_(activity(is_active), is_word(func.lower(other), YES if says_inactive(h) else NO))
        )
        for h, other in zip(look_alikes, others, strict=True)
    )
    counts = con.execute(select(*contradict).select_from(cell)).one()
    return {h: count for h, count in zip(look_alikes, counts, strict=True) if count}


def _with_resource(
    con: Connection, rows: FileRows, proposal: Proposal, saved: ColumnMapping
) -> Proposal:
    """Where an account has a row per application or project, its roles say on which one."""
    columns = proposal.mapping.columns
    if not columns.get("username_in_app") or "role_resource" in saved.columns:
        return proposal
    used = {heading for found in columns.values() for heading in found}
    free = [h for h in rows.cells if h not in used]
    names = (name for name in ("username_in_app", "account_id") if columns.get(name))
    identity = [proposal.mapping.cell(name, rows.cells) for name in names]
    if not (resource := find_resource(con, rows, identity, free)):
        return proposal
    if not columns.get("roles"):
        unsure = {"roles": Guess((resource,), SEVERAL)} | dict(proposal.unsure)
        return proposal if "roles" in saved.columns else replace(proposal, unsure=unsure)
    found = {**columns, "role_resource": (resource,)}
    look_alikes = {h: name for h, name in proposal.look_alikes.items() if h != resource}
    return replace(
        proposal,
        mapping=proposal.mapping.with_columns(found),
        reasons={**proposal.reasons, "role_resource": RESOURCE},
        look_alikes=look_alikes,
    )


def _ranked_columns(heading: str) -> set[str]:
    return {COLUMN_OF_PART.get(name, name) for name in ranks_of(heading)}


def _can_be_others(headings: Iterable[str], columns: Mapping[str, object]) -> bool:
    """Whether a heading is a name of a column that has none yet."""
    found = [*headings]
    names = [name for h in found for name in (*ranks_of(h), *partial_columns(h))]
    can_be_roles = "roles" not in columns and bool(found)  # any heading can be a role's name
    if can_be_roles or any(is_end(h) or is_kind(h) for h in found):
        return True
    return any(COLUMN_OF_PART.get(name, name) not in columns for name in names)


class _Proposer:
    """Gives out the headings of one file."""

    def __init__(
        self,
        saved: ColumnMapping,
        columns: Mapping[str, tuple[str, ...]],
        profiles: Mapping[str, Profile],
        free: Iterable[str],
    ) -> None:
        self.saved, self.profiles = saved, profiles
        self.columns, self.active = dict(columns), dict(saved.active)
        self.free = sorted(free)
        self.ranks = {heading: ranks_of(heading) for heading in self.free}
        self.reasons: dict[str, str] = {}

    def propose(self, headings: tuple[str, ...]) -> Proposal:
        """Give out the headings column by column: an earlier column has the first choice."""
        self._take("username_in_app", *self._candidates("username_in_app")[:1])
        handles = [h for h in self._candidates("handle") if not self._is_id(h)]
        self._take("handle", *handles[:1])
        self._take("login_name", *self._candidates("login_name")[:1])
        for name in VALUES:
            if name == "user_name":
                self._take_user_name()
            elif name in OWN_HEADINGS or name == "inactive":
                self._take(name, *self._candidates(name)[:1])
        self._take_email_as_username()
        unsure, look_alikes = self._find_unused()
        misnamed = self._find_misnamed(
            {*look_alikes, *(h for g in unsure.values() for h in g.headings)}
        )
        columns = {name: self.columns[name] for name in OWN_HEADINGS if name in self.columns}
        mapping = self.saved.with_columns(columns, self.active)
        ends = [h for h in self.free if is_end(h) and self.profiles[h].share("time", "digits") > 0]
        kinds = {h: self.profiles[h].share("kind") == 1 for h in headings if self._has_groups(h)}
        found = {
            "unsure": unsure,
            "look_alikes": look_alikes,
            "misnamed": misnamed,
            "ends": tuple(ends),
            "kinds": kinds,
        }
        return Proposal(headings, mapping, self.reasons, **found)

    def _has_groups(self, heading: str) -> bool:
        return is_kind(heading) and self.profiles[heading].share("group") > 0

    def _is_id(self, heading: str) -> bool:
        """Whether a `User ID` is an ID that a computer has made."""
        return (
            "account_id" in self.ranks[heading] and self.profiles[heading].share("login") < MOSTLY
        )

    def _candidates(self, name: str) -> list[str]:
        """Free headings that are names of the column, with values that can be its; best first."""
        found = [h for h in self.free if name in self.ranks[h] and self._fits(name, h)]
        return sorted(found, key=lambda h: (self.ranks[h][name], -self.profiles[h].filled, h))

    def _fits(self, name: str, heading: str) -> bool:
        """Whether the values can be those of the column."""
        profile, values = self.profiles[heading], VALUES[name]
        if not profile.rows:
            return True
        if not profile.filled:
            return is_documented(name, heading)
        if any(profile.share(kind) >= 0.5 for kind in values.never):
            return False
        if profile.filled > 3 and profile.distinct < values.distinct * profile.filled:
            return False
        if is_documented(name, heading):
            return True
        if profile.filled < values.filled * profile.rows:
            return False
        if name == "provisioning_state" and profile.share("status") > profile.share("state"):
            return False
        if name == "active_in_app" and self._has_codes(heading):
            return False
        return not values.mostly or profile.share(*values.mostly) >= values.share

    def _take(self, name: str, *headings: str, reason: str = "") -> None:
        """Use the headings for a column that has none yet."""
        column = COLUMN_OF_PART.get(name, name)
        if not headings or column in self.columns:
            return
        self.columns[column] = headings
        self.free = [heading for heading in self.free if heading not in headings]
        if name == "inactive":
            self.active = INVERTED | self.active
        is_usual = is_documented(column, headings[0]) or column == "provisioning_state"
        if reason or not is_usual:
            self.reasons[column] = reason or self.profiles[headings[0]].describe()

    def _take_user_name(self) -> None:
        """A full name, else first and last name together, else a column that is just `Name`."""
        self._take("user_name", *self._candidates("user_name")[:1])
        given, family = self._candidates("given_name")[:1], self._candidates("family_name")[:1]
        if given and family and given != family:
            is_japanese = given[0].strip() == "名"  # the family name comes first
            pair = (*family, *given) if is_japanese else (*given, *family)
            self._take("user_name", *pair, reason="first and last name")
        self._take("user_name", *self._candidates("short_name")[:1])

    def _take_email_as_username(self) -> None:
        """The email is the username where no column is one; else the ID, if it is no number."""
        emails = self.columns.get("user_email", ())[:1]
        if emails and self._fits("email_login", emails[0]):
            self._take("username_in_app", *emails, reason="the email, as there is no username")
        ids = self.columns.get("account_id", ())
        if ids and "handle" in self.ranks.get(ids[0], {}) and self._fits("handle", ids[0]):
            self._take("username_in_app", *ids)

    def _find_unused(self) -> tuple[dict[str, Guess], dict[str, str]]:
        """What can be a column that the file seems to lack, and what looks like one it has."""
        unsure: dict[str, Guess] = {}
        look_alikes: dict[str, str] = {}
        marked = [h for h in self.free if self._can_mark_a_role(h)]
        if "username_in_app" not in self.columns:
            known = ("user_email", "account_id", "user_name")
            found = [h for name in known for h in self.columns.get(name, ())[:1]]
            if found:
                reason = self.profiles[found[0]].describe()
                unsure["username_in_app"] = Guess(tuple(found), reason, is_likely=True)
        for heading in self.free:
            names = self._possible_columns(heading)
            if not names and "roles" not in self.columns and len(marked) > 1 and heading in marked:
                names = ["roles"]
            missing = [name for name in names if name not in self.columns]
            for name in dict.fromkeys(missing):
                is_likely = name == "active_in_app" and self._has_known_statuses(heading)
                known = unsure.get(name, Guess((), self.profiles[heading].describe(), is_likely))
                unsure[name] = replace(known, headings=(*known.headings, heading))
            if names and not missing:
                look_alikes[heading] = names[0]
        return unsure, look_alikes

    def _has_known_statuses(self, heading: str) -> bool:
        """Whether it is named like a status, and has words that are known instead of codes."""
        is_named = "active_in_app" in self.ranks[heading] and not is_place(heading)
        has_words = self.profiles[heading].share("status") > 0
        return is_named and has_words and not self._has_codes(heading)

    def _has_codes(self, heading: str) -> bool:
        """Whether a status has numbers that are not 1 and 0."""
        profile = self.profiles[heading]
        is_truth = profile.distinct == 2 and profile.share("mark") == 1
        return can_be_coded(heading) and profile.share("number") >= 0.5 and not is_truth

    def _find_misnamed(self, known: set[str]) -> dict[str, tuple[str, str]]:
        """Headings that are a name of a missing column, over values that cannot be its."""
        found: dict[str, tuple[str, str]] = {}
        for heading in self.free:
            names = (COLUMN_OF_PART.get(name, name) for name in self.ranks[heading])
            missing = [n for n in names if n not in self.columns and n != "provisioning_state"]
            if missing and heading not in known and self.profiles[heading].filled:
                found[heading] = missing[0], self._contrary(missing[0], heading)
        return found

    def _contrary(self, name: str, heading: str) -> str:
        """What a person reads about values that cannot be those of the column."""
        profile = self.profiles[heading]
        kinds = (k for k in LABELS if k in VALUES[name].never and profile.share(k) >= 0.5)
        return next((LABELS[kind] for kind in kinds), profile.describe())

    def _can_mark_a_role(self, heading: str) -> bool:
        """Whether the column can say who has the role that it is named like: an access matrix."""
        is_mark = self.profiles[heading].share("mark") >= MOSTLY
        return is_mark and not (self.ranks[heading] or is_about_others(heading))

    def _can_be_a_status(self, heading: str) -> bool:
        """Whether few different words, some of them unknown, can be those for activity."""
        profile = self.profiles[heading]
        if self._has_codes(heading):
            return profile.distinct <= MAX_STATUSES
        least = 0.3 if is_place(heading) else 0.0
        is_coded = profile.distinct <= MAX_STATUSES and profile.share(*NO_STATUS) < 0.5
        return least <= profile.share("status") < MOSTLY and (is_coded or least > 0)

    def _possible_columns(self, heading: str) -> list[str]:
        profile = self.profiles[heading]
        if not profile.filled:
            return []
        names = [COLUMN_OF_PART.get(n, n) for n in self.ranks[heading] if self._fits(n, heading)]
        partial = (n for n in partial_columns(heading) if self._fits(n, heading))
        names += [COLUMN_OF_PART.get(n, n) for n in partial]
        if "active_in_app" in self.ranks[heading] and self._can_be_a_status(heading):
            names.append("active_in_app")
        if not names and "username_in_app" not in self.columns and self._fits("handle", heading):
            is_different = profile.distinct == profile.filled == profile.rows
            names += ["username_in_app"] * is_different
        is_part_of_name = {"given_name", "family_name"} & set(self.ranks[heading])
        return [name for name in names if not (name == "user_name" and is_part_of_name)]
