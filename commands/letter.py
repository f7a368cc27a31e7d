"""The command `letter`: prints the letter that somebody would get."""

import argparse
import os
import sys
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from commands import EXIT_OK, EXIT_USAGE, fail
from data.access.claims import ConfigError, RoleMapping, is_pseudonymized
from data.access.roles import Principal
from data.formatting import utc_now
from data.home import current_home
from data.letters.recipients import read_letter_settings
from data.secrets_file import read_access, secrets_path
from data.service.instance import running_instance
from data.store.engine import open_store

DAY = timedelta(days=1)


class _Audience(NamedTuple):
    """Who reads the letter, and the address of Rollcall in it."""

    role: str
    integrations: tuple[str, ...] | None = None
    address: str = ""
    zone: str = "UTC"


def print_letter(args: argparse.Namespace) -> int:
    """Print the letter of a period, as a role or a recipient reads it. It sends nothing."""
    # they import pandas, which takes a second that the other commands save
    from queries.letter.render import letter_html, letter_subject, letter_text
    from queries.letter.write import write_letter

    until = args.until or utc_now()
    since = args.since or until - DAY
    if since >= until:
        return fail("--since has to be earlier than --until.", EXIT_USAGE)
    try:
        audience = _recipient(args.to) if args.to else _Audience(args.role)
    except ConfigError as error:
        return fail(str(error), EXIT_USAGE)
    home, reader = current_home(), _reader(audience)
    if args.integration:
        narrowed = Principal("", reader.roles, tuple(args.integration))
        reader = reader.limited_to(narrowed)
    letter = write_letter(open_store(home.database_url), reader, since, until, zone=audience.zone)
    server = running_instance(home)
    local = server.address if server else f"http://localhost:{os.environ.get('PORT', '8501')}"
    address = audience.address or local
    if args.html:
        print(letter_html(letter, address))
        return EXIT_OK
    print(letter_subject(letter), letter_text(letter, address), sep="\n\n", end="")
    if letter.is_quiet:
        print("Nothing happened, so no letter would be sent.", file=sys.stderr)
    return EXIT_OK


def _recipient(name: str) -> _Audience:
    """A recipient of the secrets file. Raises ConfigError."""
    settings = read_letter_settings(secrets_path())
    for recipient in settings.recipients:
        if recipient.name == name:
            return _Audience(
                recipient.role, recipient.integrations, recipient.address, recipient.zone
            )
    known = ", ".join(recipient.name for recipient in settings.recipients) or "none"
    raise ConfigError(
        settings.problems.get(name)
        or f"There is no recipient “{name}” in {secrets_path()}; expected one of: {known}."
    )


def _reader(audience: _Audience) -> Principal:
    """Somebody of the role, as [access] limits it. Raises ConfigError."""
    reader = Principal("", (audience.role,), audience.integrations)
    if access := read_access():
        mapping = RoleMapping.from_settings(access)
        reader = mapping.to_reader(audience.role, audience.integrations)
    return replace(reader, uses_pseudonyms=reader.uses_pseudonyms or is_pseudonymized())
