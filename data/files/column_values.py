"""What the values of a column can be: with a heading, they decide which column it is."""

from typing import NamedTuple

from data.values.words import NO, YES


class Values(NamedTuple):
    """What the values of a column can be."""

    never: tuple[str, ...] = ()  # kinds; fewer than half of the values are of one of them
    mostly: tuple[str, ...] = ()  # kinds; at least `share` is; not for documented headings
    share: float = 0.8
    filled: float = 0.0  # least share of rows with a value
    distinct: float = 0.0  # least share of values that differ, in more than three


NO_NAME = ("time", "digits", "truth", "list", "state", "heading")
NO_STATUS = ("time", "email", "guid", "state")
NO_PERSON = ("time", "truth", "number", "email", "guid", "state", "object")

VALUES: dict[str, Values] = {
    "username_in_app": Values((*NO_NAME, "spaced"), filled=0.5),
    "handle": Values((*NO_NAME, "spaced", "number", "guid", "status"), filled=0.9, distinct=0.1),
    "login_name": Values((), ("login",), filled=0.9, distinct=0.1),
    "email_login": Values(NO_NAME, ("email",), filled=0.9, distinct=0.1),
    "account_id": Values((*NO_NAME, "email", "spaced"), distinct=0.1),
    "upstream_user_id": Values((*NO_NAME, "spaced")),
    "user_name": Values(NO_PERSON),
    "given_name": Values(NO_PERSON),
    "family_name": Values(NO_PERSON),
    "short_name": Values((*NO_PERSON, "status", "list")),
    "user_text": Values(("time", "truth", "number", "state", "object")),
    "user_email": Values(("time", "truth", "object"), ("email",)),
    "provisioning_state": Values((), ("state",), share=0.5),
    "active_in_app": Values(("time", "email", "guid"), ("status",)),
    "inactive": Values(("time", "email", "guid"), ("truth", "number")),
    "roles": Values(("time", "truth", "number", "email", "guid", "state")),
    "role_mark": Values((), ("mark",)),
    "state_source": Values(),
    "state_reason": Values(("time", "truth", "email")),
    "failure_code": Values(("time", "truth", "email")),
    "last_updated": Values(("truth", "email", "guid", "state"), ("time", "digits")),
    "last_sign_in": Values(("truth", "email", "guid", "state"), ("time", "digits", "signed in")),
}
"""Column, or part of one → its values. In the order in which headings are given out."""

INVERTED = dict.fromkeys(YES, "no") | dict.fromkeys(NO, "yes")
"""The active values of a column that says who is disabled."""
