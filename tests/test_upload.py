"""Uploads without a browser: what a file name suggests, the preview, and the delivery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import TODAY
from sqlalchemy import Engine

from data.files.errors import OtherContentLoaded, UnknownFormat, UnknownSnapshot
from data.files.mapping import NO_MAPPING
from data.home import Home
from data.inbox.delivered import inbox_files
from data.inbox.upload import (
    ConfirmedUpload,
    IdentifiedUpload,
    Upload,
    deliver_upload,
    parse_file_name,
    preview_upload,
    printable_name,
    propose_upload,
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
        ("../../x.csv", "", None),
        ("export.csv", "", None),
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
    proposal = propose_upload(home, an_upload(), NO_MAPPING)
    assert proposal
    assert proposal.headings == ("Username in app", "State")
    assert proposal.words == {"provisioning_state": {"Onboarded": 1}}


def test_a_preview_changes_nothing(store: Engine, home: Home) -> None:
    preview = preview_upload(store, home, identified(an_upload()), None)
    assert (preview.load_report.accepted, preview.already_loaded) == (1, False)
    assert not inbox_files(home)
    assert not list(home.root.glob(".upload-*"))


def test_a_delivered_upload_is_in_the_inbox_under_a_name_of_our_own(home: Home) -> None:
    upload = identified(an_upload("../x.CSV"))
    delivered = deliver_upload(home, ConfirmedUpload(upload, replace=False, confirmed=True))
    (path,) = inbox_files(home)
    assert str(path.relative_to(home.inbox)) == "figma/confirmed~2026-11-23T06-00-00Z.csv"
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
