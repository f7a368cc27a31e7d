"""What the texts in a file's cells mean. A value is read truly, or flagged, and never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from deliveries import TUESDAY, accounts, deliver
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from data.files.text import NAMES_OF_PEOPLE, PLACEHOLDERS
from data.history.load_report import load_reports
from data.history.normalize import normalize
from data.schema import RAW_COLUMNS
from data.values.column_reading import ColumnReading, column_reading, row_marks
from data.values.words import ACTIVITY_WORDS, activity_words, word_meaning

SOME = settings(max_examples=25)
AT_SIX = datetime(2026, 11, 23, 6)
DAY = datetime(2026, 11, 23)

texts_table = sa.Table(
    "texts",
    sa.MetaData(),
    sa.Column("number", sa.Integer),
    *(sa.Column(name, sa.String) for name in RAW_COLUMNS),
)


@cache
def connection() -> sa.Connection:
    con = sa.create_engine("duckdb:///:memory:").connect()
    texts_table.create(con)
    return con


@cache
def normalized(reading: ColumnReading) -> sa.Select[*tuple[Any, ...]]:
    rows = normalize(select(texts_table).subquery("rows"), reading).subquery("normalized")
    return select(rows).order_by(rows.c.number)


def read(rows: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """The accounts of a file with these rows, in their order."""
    con, columns = connection(), texts_table.c
    con.execute(sa.delete(texts_table))
    cells = [{"number": n} | dict.fromkeys(RAW_COLUMNS) | row for n, row in enumerate(rows)]
    con.execute(sa.insert(texts_table), cells)
    marks = con.scalar(select(func.bit_or(row_marks(columns.roles, columns.last_updated))))
    found = con.execute(normalized(column_reading(marks or 0)))
    return [dict(row) for row in found.mappings()]


def values(column: str, texts: Iterable[str]) -> list[Any]:
    return [value for value, _ in values_and_flags(column, texts)]


def values_and_flags(column: str, texts: Iterable[str]) -> list[tuple[Any, str | None]]:
    """The value of each row, and its text where that is flagged."""
    return [
        (account[column], json.loads(account["flags"] or "{}").get(column))
        for account in read([{column: text} for text in texts])
    ]


# ---- moments ------------------------------------------------------------------------------------

MOMENTS = {
    AT_SIX: """
        2026-11-23 06:00 | 2026-11-23T06:00Z | 2026-11-23 6:00:00 | 2026-11-23 06.00.00
        2026-11-23-06.00.00.000000 | 2026-11-23T06:00:00.000+00:00[UTC] | 2026-11-23 06:00:00 UTC
        2026-11-23 07:00:00 +0100 | 2026-11-23T11:30:00+5:30 | 2026-11-22 22:00:00.000 -0800
        2026-11-23t06:00:00z | 20261123T060000Z | 20261123T080000+0200 | 20261123060000.0Z
        20261123060000 | 202611230600 | 2026/11/23 06:00:00 | 2026-11-23 6:00 AM
        2026-11-23 15:00:00 Asia/Tokyo | 2026-11-23T07:00:00+01:00[Europe/Berlin]
        2026-11-23 07:00 [Europe/Berlin] | 2026-11-23 01:00:00 America/New_York
        2026-11-23 07:00:00 +0100 CET | 2026-11-23T07:00:00 (UTC+01:00)
        Mon, 23 Nov 2026 06:00:00 GMT | Mon, 23 Nov 2026 07:00:00 +0100 (CET)
        Mon Nov 23 06:00:00 UTC 2026 | Mon Nov 23 07:00:00 2026 +0100
        Mon Nov 23 2026 07:00:00 GMT+0100 (Central European Standard Time)
        Nov 23, 2026, 6:00:00 AM | Nov 23, 2026 6:00 a.m. | Nov 23 2026  6:00AM
        Monday, November 23, 2026 at 6:00:00 AM UTC | 23/Nov/2026:06:00:00 +0000
        23-NOV-26 06.00.00.000000000 AM +00:00 | 23-Nov-2026 06:00 | 23/Nov/26 6:00 AM
        Montag, 23. November 2026 06:00 Uhr | 23.11.2026 06:00 | 11/23/2026 6:00:00 AM
        1795413600 | 1795413600.0 | 1795413600000 | 1795413600000000 | 1795413600000000000
        /Date(1795413600000)/ | /Date(1795413600000+0100)/ | 134398872000000000
        2026年11月23日 6時0分 | 2026年11月23日 6時00分0秒 | 23 novembre 2026 6:00 a. m.
    """,
    DAY: """
        2026-11-23 | 2026/11/23 | 2026.11.23 | 20261123 | 2026-W48-1 | 2026-327 | 2026年11月23日
        23 Nov 2026 | 23-Nov-26 | 23. November 2026 | November 23rd, 2026 | 2026-Nov-23
        lunedì 23 novembre 2026 | maandag 23 nov 2026 | 23 de nov. de 2026
        23 novembre 2026 | 23 de noviembre de 2026 | 23 de novembro de 2026 | 23NOV2026
        23.11.2026 | 23/11/2026 | 11/23/2026 | 2026-11-22T24:00:00Z
    """,
    AT_SIX.replace(microsecond=123456): """
        2026-11-23T06:00:00.1234567Z | 2026-11-23T06:00:00.123456789 | 1795413600.123456
        2026-11-23T08:00:00,123456789+02:00 | 1795413600123456 | 1795413600123456789
    """,
}
"""Moment → its spellings, between bars and line breaks."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_times_are_read_in_every_spelling_that_cannot_be_misread(moment: datetime):
    texts = [text.strip() for line in MOMENTS[moment].splitlines() for text in line.split("|")]
    texts = [text for text in texts if text]
    assert dict(zip(texts, values("last_updated", texts), strict=True)) == dict.fromkeys(
        texts, moment
    )


def test_times_that_could_mean_several_are_flagged_not_guessed():
    texts = [
        "03/04/2026", "3-4-2026", "03.04.2026", "11/23/26", "23/11/26", "2026-11-23 06:00 PST",
        "2026-11-23 06:00 CET", "2026-11-23 06:00 (PST)", "2026-11-23 06:00 EST5EDT",
        "2026-11-23 06:00 Mars/Phobos", "2026-11-23 06:00 +15:00", "2026-10-25 02:30 Europe/Berlin",
        "46346", "46346.34375", "1.7954136E+12", "-1795413600", "3 days ago",
        "soon", "infinity", "epoch", "2026-02-30", "2026-11-23 25:00", "2026-11-23 13:00 PM",
        "2026-11-23 (BC)", "31 Noo 2026", "before Nov 23, 2026", "Nov 23, 2026 and later",
        "0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z", "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
    ]  # fmt: skip
    assert values_and_flags("last_updated", texts) == [(None, text) for text in texts]


def test_a_time_that_never_was_is_unknown_without_a_flag():
    texts = ["Never", "never logged in", "N/A", "-", "0", "NaT", "nie", "0000-00-00 00:00:00", ""]
    assert values_and_flags("last_updated", texts) == [(None, None)] * len(texts)


def test_a_time_that_clocks_skip_is_read_as_before_the_change():
    assert values("last_updated", ["2026-03-29T02:30:00 Europe/Berlin"]) == [
        datetime(2026, 3, 29, 1, 30)
    ]


Spelling = Callable[[datetime], str]
SPELLINGS: list[Spelling] = [
    lambda t: t.isoformat(),
    lambda t: t.isoformat().replace("T", " "),
    lambda t: f"{t:%Y-%m-%d %H:%M:%S %z}",
    lambda t: f"{t:%Y/%m/%d %H.%M.%S %z}",
    lambda t: f"{t:%Y%m%d%H%M%S}.0{t:%z}",
    lambda t: f"{t:%a, %d %b %Y %H:%M:%S %z}",
    lambda t: f"{t:%A, %B %d, %Y %I:%M:%S %p %z}",
    lambda t: f"{t:%a %b %d %Y %H:%M:%S} GMT{t:%z} (Some Standard Time)",
    lambda t: f"{t:%d-%b-%Y %I:%M:%S %p} UTC{t:%z}",
    lambda t: f"{t.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%d %H:%M:%S} Asia/Tokyo",
    lambda t: f"{t.astimezone(UTC):%a %b %d %H:%M:%S UTC %Y}",
    lambda t: f"{t.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    lambda t: f"/Date({int(t.timestamp() * 1000)})/",
    lambda t: f"{int(t.timestamp())}",
]
offsets = st.sampled_from([-720, -300, -210, 0, 60, 330, 345, 840])
moments = st.datetimes(datetime(2002, 1, 1), datetime(2099, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0)
)


@SOME
@given(
    st.lists(st.tuples(moments, offsets, st.sampled_from(SPELLINGS)), min_size=1, max_size=8),
    st.lists(st.sampled_from(["2026-11-20 23:30:00 PST", "2026-11-20 IST", "never", "9:00"])),
    st.randoms(use_true_random=False),
)
def test_no_row_changes_the_time_of_another(
    times: list[tuple[datetime, int, Spelling]], others: list[str], random: Any
):
    expected: list[tuple[str, datetime | None]] = [(text, None) for text in others]
    for moment, minutes, spell in times:
        local = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
        expected.append((spell(local), moment))
    random.shuffle(expected)
    texts = [text for text, _ in expected]
    assert list(zip(texts, values("last_updated", texts), strict=True)) == expected


@SOME
@given(
    st.lists(st.dates(date(2000, 1, 1), date(2099, 12, 31)), min_size=1, max_size=6),
    st.sampled_from(["%d{0}%m{0}%Y", "%m{0}%d{0}%Y"]),
    st.sampled_from("/.-"),
)
def test_one_date_that_is_clear_decides_the_order_for_its_column(
    days: list[date], order: str, separator: str
):
    texts = [f"{day:{order.format(separator)}}" for day in days]
    is_clear = any(day.day > 12 for day in days)
    for day, (moment, flag) in zip(days, values_and_flags("last_updated", texts), strict=True):
        assert (moment, flag) in (
            [(datetime(day.year, day.month, day.day), None)] if is_clear else [(None, flag)]
        )
        assert (flag is None) == is_clear


def test_dates_in_both_orders_decide_nothing_for_others():
    texts = ["23/11/2026", "11/23/2026", "03/04/2026"]
    assert values("last_updated", texts) == [DAY, DAY, None]


# ---- activity -----------------------------------------------------------------------------------


def test_the_words_of_an_hr_list_show_who_works_there():
    texts = ["On leave", "Notice period", "Resigned", "Retired", "Former employee"]
    assert values("active_in_app", texts) == [True, True, False, False, False]


words = st.sampled_from(
    [(word, value) for value in ACTIVITY_WORDS for word in activity_words(value)]
)
cases = st.sampled_from([str.upper, str.lower, str.title])


@SOME
@given(st.lists(st.tuples(words, cases, st.sampled_from(" _-")), min_size=1, max_size=20))
def test_activity_is_read_in_any_case_and_with_any_separator(written: list[Any]):
    texts = [change(word).replace(" ", separator) for (word, _), change, separator in written]
    assert values_and_flags("active_in_app", texts) == [
        (value, None) for (_, value), _, _ in written
    ]


@SOME
@given(words, cases, st.sampled_from(" _-"))
def test_a_form_names_the_meaning_with_which_a_word_is_read(
    word: tuple[str, Any], change: Any, separator: str
):
    text = change(word[0]).replace(" ", separator)
    meaning = {True: "yes", False: "no", None: "unknown"}[word[1]]
    assert word_meaning("active_in_app", text) == meaning
    assert word_meaning("provisioning_state", "Delete-ONGOING") == "Delete ongoing"
    is_state = text.lower() == "deleted"  # the one word that is both
    assert word_meaning("provisioning_state", text) == ("Deleted" if is_state else "")


def test_activity_is_read_in_eight_languages():
    yes = ["true", "WAHR", "VRAI", "Ja", "Oui", "Sí", "Si\u0301", "Sim", "はい", "有効", "✓", "✔",
           "Waar", "Actief", "Vero", "Sì", "attivo",
           "ACTIVATED", "live", "current", "Active (never signed in)", "1.0"]  # fmt: skip
    no = ["FALSCH", "FAUX", "Nein", "Não", "désactivé", "de\u0301sactive\u0301", "無効", "✗",
          "Nee", "Geblokkeerd", "Sospeso", "Non attivo",
          "suspended", "LOCKED_OUT", "archived", "terminated", "deprovisioned", "0"]  # fmt: skip
    unknown = ["", "unknown", "N/A", "-", "?", "NaN", "invited", "Pending Invite"]
    texts = [*yes, *no, *unknown]
    expected = [True] * len(yes) + [False] * len(no) + [None] * len(unknown)
    assert values_and_flags("active_in_app", texts) == [(value, None) for value in expected]


def test_other_words_for_activity_are_flagged():
    texts = [
        "x",
        "2",
        "-1",
        "perhaps",
        "inactive-ish",
        "not true",
        "yes and no",
        "active (deleted)",
    ]
    assert values_and_flags("active_in_app", texts) == [(None, text) for text in texts]


# ---- roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["Editor, Admin", ",Viewer,, "], [["Admin", "Editor"], ["Viewer"]]),
        (["Admin, EMEA", "Viewer;"], [["Admin, EMEA"], ["Viewer"]]),
        (["Admin|Editor", "Admin, EMEA"], [["Admin", "Editor"], ["Admin, EMEA"]]),
        (["Admin\nEditor", "Admin, EMEA"], [["Admin", "Editor"], ["Admin, EMEA"]]),
        (["Admin;\r\nEditor"], [["Admin", "Editor"]]),
        (["Admin, Editor\n"], [["Admin", "Editor"]]),
        (["CN=A,OU=G,DC=x", "Admin,Editor"], [["CN=A,OU=G,DC=x"], ["Admin", "Editor"]]),
        (["CN=A,DC=x;CN=B,DC=x"], [["CN=A,DC=x", "CN=B,DC=x"]]),
        (["CN=A,DC=x\nCN=B,DC=x"], [["CN=A,DC=x", "CN=B,DC=x"]]),
        (["Admin (read, write), Editor [a, b]"], [["Admin (read, write)", "Editor [a, b]"]]),
        (["Admin (read; write);Editor", "x (y"], [["Admin (read; write)", "Editor"], ["x (y"]]),
        (["['Admin', \"O'Brien\"]", "{Admin,\"Power, user\"}", "[Admin, Editor]"],
         [["Admin", "O'Brien"], ["Admin", "Power, user"], ["Admin", "Editor"]]),
        (["[External] Guest", "acme:Owner,acme:Member"],
         [["[External] Guest"], ["acme:Member", "acme:Owner"]]),
        (["Admin;admin;ADMIN", "admin;ADMIN"], [["Admin"], ["ADMIN"]]),
        (["Admin / Editor", "E5+Power BI"], [["Admin / Editor"], ["E5+Power BI"]]),
        (["", " ", ";", "[null]"], [[], [], [], []]),
        ([" , ", "[]"], [[], []]),
        (['["Admin, EMEA", "Editor"]', '["Admin; EMEA"]', '{"name": "Admin"}'],
         [["Admin, EMEA", "Editor"], ["Admin; EMEA"], ["Admin"]]),
        (['["Editor", {"name": "Admin"}, 7, null, " "]'], [["7", "Admin", "Editor"]]),
        (['[{"value": "a1", "display": "Admin"}, {"value": "Editor"}]', '[{"label": "Guest"}]'],
         [["Admin", "Editor"], ["Guest"]]),
        (["None", "N/A;Admin", "-", "[]", "null;0"], [[], ["Admin"], [], [], []]),
    ],
)  # fmt: skip
def test_what_separates_roles_is_decided_for_the_column(texts: list[str], names: list[list[str]]):
    assert values_and_flags("roles", texts) == [(each, None) for each in names]


def test_details_of_roles_have_a_name_whatever_their_file_calls_it():
    text = (
        '[{"value": "a1", "display": "Admin", "since": "2026"}, {"name": "Editor", "value": "x"}]'
    )
    [account] = read([{"roles": text}])
    assert json.loads(account["role_details"]) == [
        {"name": "Editor", "value": "x"},
        {"value": "a1", "display": "Admin", "since": "2026", "name": "Admin"},
    ]


def test_roles_that_are_no_names_are_flagged():
    texts = ["System.String[]", "[object Object]", '["Admin", "Ed', '[{"name": "Ad', "{a=b, c=d}",
             "@{name=Admin}", '{"Admin": true}', '[["Admin"]]', '[{"id": "7"}]',
             '[{"name": null}]']  # fmt: skip
    assert values_and_flags("roles", texts) == [([], text) for text in texts]


role_names = st.sampled_from(
    ["Admin", "Power user", "R&D", "Team (a, b; c|d)", "[x] y", "acme:Owner", "O'Brien", "é\u0301"]
)


@SOME
@given(
    st.lists(st.lists(role_names, unique=True, max_size=4), min_size=1, max_size=6),
    st.sampled_from([";", "\n", "|", ","]),
    st.sampled_from(["{}", " {}", "{} ", " {} "]),
    st.randoms(use_true_random=False),
)
def test_roles_are_the_same_with_every_separator_and_in_every_order_of_rows(
    lists: list[list[str]], separator: str, space: str, random: Any
):
    cells = [(space.format(separator).join(names), sorted(names)) for names in lists]
    cells.append((separator.join(["Admin", "Editor"]), ["Admin", "Editor"]))
    random.shuffle(cells)
    assert values("roles", [text for text, _ in cells]) == [names for _, names in cells]


# ---- placeholders -------------------------------------------------------------------------------

PLACES = ("user_text", "user_name", "user_email", "roles", "upstream_user_id", "state_reason",
          "failure_code", "provisioning_state", "last_updated")  # fmt: skip


@SOME
@given(
    st.lists(
        st.fixed_dictionaries(dict.fromkeys(PLACES, st.sampled_from(PLACEHOLDERS))), min_size=1
    ),
    st.sampled_from([str.upper, str.lower]),
    st.sampled_from(["{}", " {} ", "{}\t"]),
)
def test_a_placeholder_is_nothing_in_every_column(
    rows: list[dict[str, str]], change: Callable[[str], str], space: str
):
    for row in read([{name: space.format(change(t)) for name, t in row.items()} for row in rows]):
        assert (row["user_name"], row["user_email"], row["upstream_user_id"]) == (None, None, None)
        assert (row["roles"], row["state_reason"], row["failure_code"]) == ([], None, None)
        assert (row["last_updated"], row["flags"]) == (None, None)


def test_people_called_null_and_accounts_called_none_remain():
    assert values("username_in_app", ["none", "N/A", "null"]) == ["none", "N/A", "null"]
    assert values("user_name", [*NAMES_OF_PEOPLE, "Chris Null"]) == [*NAMES_OF_PEOPLE, "Chris Null"]
    user = read([{"user_text": "Null <null@x.io>"}])[0]
    assert (user["user_name"], user["user_email"]) == ("Null", "null@x.io")


# ---- files --------------------------------------------------------------------------------------


def test_the_first_decision_holds_for_rows_that_have_not_changed(store: Engine, tmp_path: Path):
    heading, ada = "login,Roles,Last updated\n", 'ada,"Admin, EMEA",03/04/2026\n'
    deliver(store, tmp_path, heading + ada + "bob,Viewer,\n")
    before = accounts(store)["ada"]
    assert (before["roles"], before["last_updated"]) == (["Admin", "EMEA"], None)

    content = heading + ada + "bob,Viewer;Editor,23/04/2026\n"
    deliver(store, tmp_path, content, "b.csv", TUESDAY)
    after = accounts(store)["ada"]
    assert (after["roles"], after["last_updated"]) == (["Admin, EMEA"], datetime(2026, 4, 3))
    with store.connect() as con:
        remarks = load_reports(con)[0].remarks()
    assert "Roles are separated by “;”. Part of a name: “,”." in remarks
    assert "Dates such as 03/04/2026 start with the day, as other dates show." in remarks


def test_names_with_spaces_between_them_are_reported(store: Engine, tmp_path: Path) -> None:
    deliver(store, tmp_path, "login,Roles\nada,system_user system_admin\nbob,Power user\n")
    with store.connect() as con:
        remarks = load_reports(con)[0].remarks()
    assert "Roles are separated by “,”. Part of a name: spaces." in remarks
