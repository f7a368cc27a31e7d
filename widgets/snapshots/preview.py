"""What a file would change, told before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.access.roles import Act
from data.files.errors import SnapshotRefused
from data.files.formats import place_word
from data.history.passport import Passport
from data.history.preview import Preview, preview
from data.states import STATE_BY_NAME
from data.store.errors import StoreFault
from queries.cache import newest_load
from queries.snapshots import departure_limits
from server.authorize import changing, delivered
from server.session import principal
from widgets import timezone

COLUMN_NAMES = {"user_text": "User", "upstream_user_id": "Upstream user ID"}
"""Column of a row as delivered → its heading, where that is not the name itself."""

Known = tuple[str, datetime]
"""Which integration a file lists, and when it was taken (naive UTC)."""

OUTCOMES: dict[str, tuple[str, str, Any]] = {
    "loaded": ("Loaded", ":material/check:", "green"),
    "held": ("Held", ":material/pan_tool:", "orange"),
    "refused": ("Refused", ":material/block:", "red"),
    "not yet": ("Is being loaded", ":material/hourglass_top:", "blue"),
}
"""What became of an upload → words, icon and colour."""


@st.cache_data(scope="session", max_entries=50, show_spinner="Looking at the file …")
def previewed(
    what: str,  # noqa: ARG001 - what the answer depends on, for the cache
    known: Known,
    store: Any,  # noqa: ARG001 - likewise
    _open: Callable[..., Any],
) -> Preview | str:
    """What loading a file would give, or why it is refused.

    It is computed again where `store` says that something was loaded since.
    """
    try:
        with _open(known) as file:
            return preview(changing(Act.LOAD, known[0]), file)
    except SnapshotRefused as refusal:
        return str(refusal)


def look_at(what: str, known: Known, open_: Callable[..., Any]) -> Preview | str:
    """What loading the file that `what` names would give, or why that cannot be."""
    try:
        return previewed(what, known, state_of_store(known[0]), open_)
    except (StoreFault, OSError) as fault:
        return f"It cannot be looked at now. {fault}"


def state_of_store(name: str) -> Any:
    with delivered(Act.LOAD).connect() as con:
        return newest_load(con), departure_limits(con).get(name)


def needs_word(passport: Passport) -> bool:
    """Whether the file is loaded only where a person confirms it."""
    emptied = not passport.accepted and passport.before is not None and passport.before.accounts
    return bool(passport.doubt or emptied)


def show_preview(seen: Preview, *, key: str) -> None:
    """What loading would give: counts, findings, the mix of states, rows as understood."""
    passport = seen.passport
    st.text(_counts_in_words(passport))
    for sentence in passport.findings():
        _sentence(sentence, ":material/warning:", "orange")
    for sentence in passport.remarks():
        _sentence(sentence, ":material/info:", "gray")
    if principal().pseudonyms:  # the file itself has names
        _frame(_mix(passport), f"states_{key}", "Accounts by provisioning state, before and after")
        return
    leave, place = passport.gone + passport.removed, place_word(passport.file_name).capitalize()
    rows, states, leaving, rejected = st.tabs(
        [
            "First rows",
            "States before and after",
            f"Leaving ({leave:,})",
            f"Rejected rows ({passport.rejected:,})",
        ],
        key=f"tabs_{key}",
    )
    with rows:
        told = [{_heading(name): _told(name, row[name]) for name in row} for row in seen.rows]
        frame = pd.DataFrame(told).fillna("")
        _frame(frame, f"rows_{key}", "The first rows, by the columns that were understood")
    with states:
        _frame(_mix(passport), f"states_{key}", "Accounts by provisioning state, before and after")
    with leaving:
        if seen.leaving:
            frame = pd.DataFrame(seen.leaving, columns=["Username in app", "User", "Now", "Then"])
            _frame(frame, f"leaving_{key}", "The accounts that would go, or be deleted")
            if len(seen.leaving) < leave:
                st.text(f"The first {len(seen.leaving):,} of {leave:,}.")
        else:
            st.text("None: nobody goes, or falls into a Delete state.")
    with rejected:
        if seen.rejected:
            frame = pd.DataFrame(seen.rejected, columns=[place, "Text", "Reason"])
            _frame(frame[[place, "Reason", "Text"]], f"rejected_{key}", "The rejected rows")
            if len(seen.rejected) < passport.rejected:
                st.text(f"The first {len(seen.rejected):,} of {passport.rejected:,}.")
        else:
            st.text("None: every row is an account.")


def _counts_in_words(passport: Passport) -> str:
    accounts = f"{passport.accepted:,} of {passport.rows_read:,} rows are accounts."
    if not passport.before:
        return f"{accounts} There is no earlier snapshot to compare with."
    parts = {
        "joined": passport.joined,
        "changed": passport.changed,
        "gone": passport.gone,
        "fallen into a Delete state": passport.removed,
    }
    told = ", ".join(f"{number:,} {word}" for word, number in parts.items())
    return f"{accounts} Against {timezone.named(passport.before.taken_at)}: {told}."


def _sentence(sentence: str, icon: str, color: Any) -> None:
    with st.container(horizontal=True, wrap=False, gap="xsmall"):
        st.badge("", icon=icon, color=color)
        st.text(sentence, width="stretch")


def _mix(passport: Passport) -> pd.DataFrame:
    before = passport.before
    rows = [
        {
            "State": name,
            "Before": before.states.get(name, 0) if before else 0,
            "After": passport.states.get(name, 0),
            "Change of share (points)": round(
                100 * (passport.share(name) - (before.share(name) if before else 0)), 1
            ),
        }
        for name in STATE_BY_NAME
        if passport.states.get(name) or (before and before.states.get(name))
    ]
    return pd.DataFrame(rows)


def _told(name: str, text: str) -> str:
    """A value as delivered; of roles with details the names only."""
    try:
        roles = json.loads(text) if name == "roles" else None
    except ValueError:
        roles = None
    if not isinstance(roles, list):
        return text
    return "; ".join(str(r.get("name", r) if isinstance(r, dict) else r) for r in roles)


def _heading(name: str) -> str:
    return COLUMN_NAMES.get(name) or name.replace("_", " ").capitalize()


def _frame(frame: pd.DataFrame, key: str, alt: str) -> None:
    st.dataframe(frame, hide_index=True, key=key, alt=alt, height="auto")


def shown_name(name: str) -> str:
    """An uploaded file's name as one line of text."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return line if len(line) <= 120 else f"{line[:120]}…"
