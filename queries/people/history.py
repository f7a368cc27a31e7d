"""The history of one person's accounts as rows, for downloads and evidence."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, case, select

from data.formatting import iso_z
from data.schema import OPEN_END, account, integration, is_same_account
from data.store.output import BYTE_ORDER_MARK, escape_formula
from queries.filters import Filters
from queries.lookup import lookup_versions
from queries.people.named_person import accounts_of
from queries.people.owner import SOURCE_TEXTS
from queries.scope import is_past

HISTORY_HEADINGS = {
    "integration": "Integration",
    "account_id": "Account ID",
    "username_in_app": "Username in app",
    "known_by": "Known by",
    "from": "From (UTC)",
    "to": "To (UTC)",
    "provisioning_state": "Provisioning state",
    "active_in_app": "Active in app",
    "roles": "App access",
}
"""Column → its heading in a file."""

LAST_MOMENT = OPEN_END - timedelta(seconds=1)
YES_NO = {True: "yes", False: "no", None: ""}


def history_of(con: Connection, filters: Filters) -> list[dict[str, Any]]:
    """One row per version of the accounts of the person whom the filters name, by their moment.

    By integration, account ID and time; `to` is None while the version holds at the moment. Times
    are ISO texts in UTC.
    """
    who, moment = filters.of_person, filters.moment
    assert who  # noqa: S101 - the caller has checked it
    found = accounts_of(who.account_keys(), moment, lambda v: is_past(v.c.valid_from, moment)).cte()
    keys = select(found.c.account_key)
    v = lookup_versions(lambda rows: rows.c.account_key.in_(keys))
    values: dict[str, Any] = {name: v.c[name] for name in HISTORY_HEADINGS if name in v.c}
    values |= {
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "known_by": found.c.source,
        "from": v.c.valid_from,
        "to": case((v.c.valid_to <= (moment or LAST_MOMENT), v.c.valid_to)),
    }
    is_its = sa.and_(found.c.account_key == v.c.account_key, found.c.valid_from == v.c.valid_from)
    query = (
        select(*(values[name].label(name) for name in HISTORY_HEADINGS))
        .join_from(v, found, is_its)
        .join(account, is_same_account(account, v))
        .join(integration, integration.c.integration_id == v.c.integration_id)
        .where(filters.includes(v))
        .order_by(integration.c.name, account.c.account_id, v.c.valid_from)
    )
    return [_as_json(row) for row in con.execute(query).mappings()]


def _as_json(row: Mapping[Any, Any]) -> dict[str, Any]:
    times = {name: row[name] and iso_z(row[name]) for name in ("from", "to")}
    return {**row, **times, "known_by": SOURCE_TEXTS[row["known_by"]]}


def write_history_json(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a JSON list with one version per line."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def write_history_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a CSV in which no text is a formula in a spreadsheet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(BYTE_ORDER_MARK)
        writer = csv.writer(file)
        writer.writerow(HISTORY_HEADINGS.values())
        writer.writerows([escape_formula(text) for text in history_texts(row)] for row in rows)


def history_texts(row: dict[str, Any]) -> list[str]:
    """The cells of a row as text, in the order of the headings."""
    texts = row | {"active_in_app": YES_NO[row["active_in_app"]], "roles": "; ".join(row["roles"])}
    return [str(texts[name] or "") for name in HISTORY_HEADINGS]
