"""What was loaded and how good it was; what waits for a person; and how more gets in."""

from collections.abc import Sequence

import streamlit as st

from data.access.roles import Act
from queries.rejected_rows import rejected_rows
from queries.snapshots import (
    PAGE_SIZE,
    count_snapshots,
    departure_limits,
    page_of_snapshots,
    snapshot_at,
)
from queries.users.accounts import integration_names
from server.authorize import is_sample, reading
from widgets import status, timezone
from widgets.address import go, page_asked, turn_pages, write
from widgets.filters import choose_integrations, mark_past, moment_asked
from widgets.snapshots import passport, pulls, quarantine, upload
from widgets.users_table import Block, users_table

sample = is_sample()
asked = passport.asked_snapshot()
with reading(Act.SNAPSHOTS) as con:
    integrations = integration_names(con)
    is_empty = not count_snapshots(con, ())
    one = snapshot_at(con, *asked) if asked else None

st.title("Snapshots")


def table(passports: Sequence, *, key: str) -> None:
    """A row per snapshot; each opens its passport."""

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        opened = [p for p in passports if passport.id_of(p) in ids]
        with reading(Act.SNAPSHOTS) as con:
            return {
                passport.id_of(p): passport.panel(
                    p,
                    rejected_rows(con, p.integration, p.taken_at, limit=passport.REJECTED_SHOWN),
                )
                for p in opened
            }

    users_table(
        [passport.table_row(p) for p in passports],
        columns=passport.columns(),
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption="Snapshots",
        empty="No snapshots of these integrations.",
        key=key,
    )


@st.fragment
def list_of_snapshots(chosen: Sequence[str]) -> None:
    """The newest first, a page at a time."""
    until = moment_asked()
    with reading(Act.SNAPSHOTS) as con:
        found = count_snapshots(con, chosen, until)
        pages = max(1, -(-found // PAGE_SIZE))
        page = min(page_asked(), pages)
        passports = page_of_snapshots(con, chosen, page, until)
    noun = "snapshot" if found == 1 else "snapshots"
    st.text(f"{found:,} {noun}, the newest first" + (" · sample data" if sample else ""))
    table(passports, key="snapshots")
    turn_pages(page, pages)


if asked:
    if st.button("All snapshots", icon=":material/arrow_back:", type="tertiary", key="all"):
        write(timezone.with_zone({}))
        st.rerun()
    if one:
        passport.act_on(one, is_sample=sample)
        st.session_state.setdefault("snapshot", {"open": [passport.id_of(one)]})
        table([one], key="snapshot")
        if not sample:
            with st.expander("Replace it by another file", key="replace"):
                upload.upload(integrations, of=(one.integration, one.taken_at))
            upload.follow()
    else:
        st.text("There is no such snapshot, or not any more.")
    st.stop()

quarantine.needs_a_person()
upload.upload(integrations)
upload.follow()
pulls.pulls()
if is_empty:
    status.no_snapshots()
    st.stop()

st.subheader("Loaded", anchor=False)
left, right = st.columns([4, 1])
with left:
    chosen = choose_integrations(integrations)
with right:
    timezone.choose_zone()
mark_past(moment_asked(), lambda: go(as_of=None, page=None), "Snapshots taken by then.")
list_of_snapshots(chosen)
if not sample:
    with reading(Act.SNAPSHOTS) as con:
        passport.set_limits(departure_limits(con), chosen)
