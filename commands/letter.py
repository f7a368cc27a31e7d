"""The command `letter`: prints the letter that somebody would get."""

import argparse
import os
import sys
from datetime import timedelta

from commands import EXIT_OK, EXIT_USAGE, fail
from data.access.roles import Principal
from data.formatting import utc_now
from data.home import current_home
from data.service.instance import running_instance
from data.store.engine import open_store

DAY = timedelta(days=1)


def print_letter(args: argparse.Namespace) -> int:
    """Print the letter of a period, as a role may read it. It sends nothing."""
    # they import pandas, which takes a second that the other commands save
    from queries.letter.render import letter_html, letter_subject, letter_text
    from queries.letter.write import write_letter

    until = args.until or utc_now()
    since = args.since or until - DAY
    if since >= until:
        return fail("--since has to be earlier than --until.", EXIT_USAGE)
    home = current_home()
    reader = Principal("", (args.role,), tuple(args.integration) or None)
    letter = write_letter(open_store(home.database_url), reader, since, until)
    server = running_instance(home)
    address = server.address if server else f"http://localhost:{os.environ.get('PORT', '8501')}"
    if args.html:
        print(letter_html(letter, address))
        return EXIT_OK
    print(letter_subject(letter), letter_text(letter, address), sep="\n\n", end="")
    if letter.is_quiet:
        print("Nothing happened, so no letter would be sent.", file=sys.stderr)
    return EXIT_OK
