"""Uploads without a browser: what a file name suggests, the preview, and the delivery."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY
from sqlalchemy import Engine

from data.files.errors import OtherContentLoaded, UnknownFormat, UnknownSnapshot
from data.files.mapping import NO_MAPPING, ColumnMapping, read_mapping
from data.files.naming import SnapshotFile
from data.home import Home
from data.inbox.delivered import inbox_files
from data.inbox.upload import (
    ConfirmedUpload,
    IdentifiedUpload,
    Upload,
    deliver_upload,
    inspect_upload,
    parse_file_name,
    preview_upload,
    printable_name,
    suggest_integration,
)

CONTENT = b"Username in app,State\nada,Onboarded\n"


def an_upload(name: str = "export.csv", content: bytes = CONTENT) -> Upload:
    return Upload("id-1", name, content)


def identified(upload: Upload, integration: str = "figma") -> IdentifiedUpload:
    return IdentifiedUpload(upload, integration, TODAY)


@pytest.mark.parametrize(
    ("name", "integration", "moment"),
    [
        ("figma/2026-11-23T06-00-00Z.csv", "figma", TODAY),
        ("snapshots\\figma\\2026-11-23T06-00-00Z.csv.gz", "figma", TODAY),
        ("figma 2026-11-23T06-00-00Z.json", "figma", TODAY),
        ("Salesforce EMEA_2026-11-23T06-00-00Z.json", "Salesforce EMEA", TODAY),
        ("2026-11-23T06-00-00Z.csv", "", TODAY),
        ("../2026-11-23T06-00-00Z.csv", "", TODAY),
        ("figma 2026-11-23T07-00-00.25+0100.csv.gz", "figma", TODAY),
        ("../../x.csv", "x", None),
        ("export.csv", "", None),
        ("jira export (3).csv", "jira", None),
        ("01-slack-member-list.csv", "slack", None),
        ("Jira_Cloud users 2026-11-23T0600Z final.xlsx", "Jira_Cloud", TODAY),
        ("github-org-members-20261123.csv", "github", datetime(2026, 11, 23)),
        ("invoice-20269999.csv", "invoice", None),
        ("figma/2026-13-45.csv", "figma", None),
        ("", "", None),
    ],
)
def test_a_file_name_suggests_integration_and_moment(
    name: str, integration: str, moment: Any
) -> None:
    assert parse_file_name(name) == (integration, moment)


def test_a_long_name_keeps_its_extension_on_one_line() -> None:
    shown = printable_name("a\n" * 200 + ".csv")
    assert len(shown) == 121
    assert shown.isprintable()
    assert shown.endswith(".csv")


def test_only_the_last_part_of_a_name_with_a_known_extension_is_used() -> None:
    assert an_upload("../../etc/x.csv").base_name == Path("x.csv")
    with pytest.raises(UnknownFormat, match="letter"):
        _ = an_upload("letter.pdf").base_name


def test_the_columns_of_an_upload_are_proposed_with_its_own_words(home: Home) -> None:
    found = inspect_upload(home, an_upload(), NO_MAPPING)
    proposal = found.proposal
    assert proposal
    assert found.recognition.sentence.startswith("Read as a table of your own (")
    assert proposal.headings == ("Username in app", "State")
    assert proposal.words == {"provisioning_state": {"Onboarded": 1}}


def test_a_preview_changes_nothing(store: Engine, home: Home) -> None:
    preview = preview_upload(store, home, identified(an_upload()), None)
    assert (preview.load_report.accepted, preview.already_loaded) == (1, False)
    assert not inbox_files(home)
    assert not list(home.root.glob(".upload-*"))


def test_an_integration_is_suggested_by_name_then_by_product(home: Home) -> None:
    slack = b"username,email,status,billing-active,has-2fa,userid\nada,a@x.io,Member,1,1,U1\n"
    product = inspect_upload(home, an_upload(content=slack), NO_MAPPING).recognition
    table = inspect_upload(home, an_upload(), NO_MAPPING).recognition
    assert suggest_integration(an_upload("users.csv"), product, ()) == "slack"
    assert suggest_integration(an_upload("users.csv"), product, ("Slack",)) == "Slack"
    assert suggest_integration(an_upload("SLACK users.csv"), table, ("Slack",)) == "Slack"
    assert suggest_integration(an_upload("users.csv"), table, ("Slack",)) == ""


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        ("jira export (3).CSV", "2026-11-23T06-00-00Z.jira export (3).csv", "jira export (3).csv"),
        ("a\0b\u202e\n.csv.gz", "2026-11-23T06-00-00Z.a\ufffdb\ufffd\ufffd.csv.gz", None),
        ("2026-11-23.csv", "2026-11-23T06-00-00Z.csv", "2026-11-23T06-00-00Z.csv"),
        ("ü" * 200 + ".csv", f"2026-11-23T06-00-00Z.{'ü' * 60}.csv", f"{'ü' * 60}.csv"),
    ],
)
def test_a_file_keeps_its_own_name_behind_the_moment(
    home: Home, name: str, path: str, shown: str | None
) -> None:
    upload = identified(an_upload(name))
    deliver_upload(home, ConfirmedUpload(upload, replace=False, confirmed=False))
    (delivered,) = inbox_files(home)
    assert delivered.name == path
    file = SnapshotFile.from_path(delivered)
    assert (file.taken_at, file.integration) == (TODAY, "figma")
    assert file.name == (shown or path.removeprefix("2026-11-23T06-00-00Z."))


def test_a_delivered_upload_is_in_the_inbox_with_its_mapping_saved(home: Home) -> None:
    upload, mapping = identified(an_upload("../x.CSV")), ColumnMapping(read_as="table")
    confirmed = ConfirmedUpload(upload, replace=False, confirmed=True, mapping=mapping)
    delivered = deliver_upload(home, confirmed)
    (path,) = inbox_files(home)
    assert str(path.relative_to(home.inbox)) == "figma/confirmed~2026-11-23T06-00-00Z.x.csv"
    assert read_mapping(home, "figma") == mapping
    assert path.read_bytes() == CONTENT
    assert (delivered.integration, delivered.taken_at) == ("figma", TODAY)


def test_another_file_of_the_same_moment_waits_until_the_first_is_loaded(home: Home) -> None:
    for content in (CONTENT, CONTENT):  # the same file twice is fine
        upload = identified(an_upload(content=content))
        deliver_upload(home, ConfirmedUpload(upload, replace=False, confirmed=False))
    other = identified(an_upload(content=CONTENT + b"bob,Onboarded\n"))
    with pytest.raises(OtherContentLoaded):
        deliver_upload(home, ConfirmedUpload(other, replace=False, confirmed=False))


def test_an_integration_that_cannot_name_a_folder_is_not_delivered(home: Home) -> None:
    upload = identified(an_upload(), integration="../up")
    with pytest.raises(UnknownSnapshot, match="cannot name an integration"):
        deliver_upload(home, ConfirmedUpload(upload, replace=False, confirmed=False))
    assert not inbox_files(home)
