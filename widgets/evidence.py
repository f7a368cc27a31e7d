"""Evidence packs: the links to them, and the routes that answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from data.access.roles import Act
from data.files.naming import moment_of
from data.records.audit_log import Event
from data.records.exceptions import limits_of
from queries.evidence.accounts import Accounts
from queries.evidence.findings import Findings, chosen_rules
from queries.evidence.pack import chunks_of
from queries.filters import Filters
from queries.review.duration import View
from queries.review.rules import Rule
from queries.users.accounts import integration_names
from widgets.sending import Streamed, what_was_taken
from widgets.signed_in import principal
from widgets.store import allowed, is_sample, noted, reading

FINDINGS, USERS = "export/evidence.zip", "export/users.evidence.zip"


def can_be_proved() -> bool:
    """Whether who asks may take evidence along, and there is an archive that proves it."""
    return principal().may(Act.PROVE) and not is_sample()


def offer_findings(view: View, rules: Sequence[Rule]) -> None:
    """The pack of what the rules find: one link, made when it is asked for."""
    if not can_be_proved():
        return
    params = [("integration", name) for name in view.integration]
    params += [("rule", rule.name) for rule in rules]
    params += Filters(as_of=view.at).params()
    link = escape(f"{FINDINGS}?{urlencode(params)}")
    st.html(
        '<nav class="downloads" aria-label="Download the evidence">'
        f'<a href="{link}" download title="Findings, snapshots with their hashes, rules: '
        'rollcall verify proves it from the archive">Evidence pack</a></nav>',
        width="content",
    )


def users_pack(filters: Filters) -> str:
    """The address of the pack of a list of accounts."""
    return f"{USERS}?{urlencode(filters.params())}"


async def send_findings(request: Request) -> Response:
    """`/export/evidence.zip?integration=&rule=&severity=&as_of=`: findings that can be proved."""
    params = request.query_params
    rules = chosen_rules(params.getlist("rule"), params.getlist("severity"))
    at = moment_of(params.get("as_of", ""))

    def asked(con: Connection) -> tuple[Findings, dict[str, Any]]:
        named = _seen(con, params.getlist("integration"))
        evidence = Findings(con, View(named, at, limits_of(con)), rules)
        of = {"rules": [rule.name for rule in rules], "integrations": list(named)}
        return evidence, of | {"rows": evidence.how_many(), "as_of": params.get("as_of")}

    return await _sent(Act.REVIEW, asked)


async def send_users_pack(request: Request) -> Response:
    """`/export/users.evidence.zip?<filters>`: a list of accounts that can be proved."""
    params = request.query_params
    filters = Filters.from_params({name: params.getlist(name) for name in params})

    def asked(con: Connection) -> tuple[Accounts, dict[str, Any]]:
        named = _seen(con, filters.integration)
        evidence = Accounts.asked(con, replace(filters, integration=named))
        return evidence, what_was_taken(evidence.about)

    return await _sent(Act.USERS, asked)


def _seen(con: Connection, integrations: Sequence[str]) -> tuple[str, ...]:
    """Those of the integrations that who asks may see: a pack has to say of which it is."""
    if principal().integrations is None:
        return tuple(integrations)
    known = integration_names(con)
    return tuple(name for name in integrations if name in known) or tuple(known)


async def _sent(
    act: Act, asked: Callable[[Connection], tuple[Findings | Accounts, dict[str, Any]]]
) -> Response:
    """The pack as a file; the audit log says what it is of."""
    allowed(Act.PROVE)
    if await run_in_threadpool(is_sample):
        return PlainTextResponse("Sample data has no archive to prove it from.", status_code=404)
    with ExitStack() as opened:
        con = await run_in_threadpool(opened.enter_context, reading(act))
        evidence, of = await run_in_threadpool(asked, con)
        name = evidence.file_name()
        noted(Event.DOWNLOADED, file=name, **of)
        return Streamed(chunks_of(evidence), "application/zip", opened.pop_all(), name)
