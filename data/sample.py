"""Invented snapshots: accounts live through the eleven states, one lawful step a day at most.

First the words, then how an account lives, then a population of them, then the files.
Nobody in here exists.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice, product
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from data.states import STATE_NAMES, STATES

# ---- words --------------------------------------------------------------------------------------

GIVEN = """Amara Björn Chidi Dalia Emre Fatou Giulia Héctor Ingrid Jiří Keiko Lūcija Mateo Nadège
Oluwaseun Priya Quentin Rosa Søren Tomasz Uchenna Vikram Wanjiru Ximena Yusuf Zoë""".split()
FAMILY = """Abara Bergström Castellanos Đurić Eriksen Fujimoto Grünwald Haddad Iyer Jankowski
Kowalczyk Lindqvist Mbeki-Thorne Núñez O'Brien Petrov Quispe Rasmussen Şahin Tanaka Usman Vasquez
Włodarczyk Xu Yılmaz Zielińska""".split()
WHOLE_NAMES = {
    "نور الهاشمي": "noor.alhashimi",
    "Seán Ó Súilleabháin-O'Brien": "sean.obrien",
    "Maximiliane Featherstonehaugh-Cholmondeley von Hohenlichtenburg": "max.featherstonehaugh",
    "山口 さくら": "sakura.yamaguchi",
    "Li": "li",
}
USERNAME_ENDINGS = {"salesforce-emea": "@northwind.example.emea", "slack": "", "github": "_nw"}
DOMAINS = ["northwind.example"] * 8 + ["partners.northwind.example", "fabrikam.example"]
SERVICES = """svc-backup integration-bot ci-runner svc-reporting data-sync webhook-relay
legacy-import audit-export svc-monitoring test-automation break-glass shared-kiosk""".split()
PROJECTS = """Aurora Basalt Cascade Delta Ember Fjord Granite Harbour Isle Juniper Kestrel Lagoon
Meadow Nimbus Orchard Prairie Quartz Ridge Summit Tundra""".split()

ROLES = {  # the common ones first; the last two administer the app
    "Figma": """Viewer, Commenter, Collab seat, FigJam editor, Slides editor, Dev Mode, Full editor,
        Library publisher, Font manager, Branch reviewer, Project lead, Team admin, Org admin""",
    "Salesforce EMEA": """Chatter Free, Standard User, Sales User, Service Agent, Marketing User,
        Contract Manager, Knowledge Author, Report Builder, Dashboard Publisher, Campaign Editor,
        Forecast Manager, Quote Approver, API Only, Regional Administrator, System Administrator""",
    "Slack": """Member, Single-channel guest, Multi-channel guest, Channel manager, Huddle host,
        Canvas editor, Workflow author, App manager, Group owner, Workspace admin, Org owner""",
    "GitHub": """Read, Triage, Write, Copilot seat, Packages reader, Packages publisher, Codespaces,
        Runner manager, Release manager, Security manager, Maintain, Repository admin, Owner""",
    "Zoom": """Basic, Licensed, Whiteboard, Large meeting 500, Webinar host, Phone user,
        Room operator, Recording manager, Events organiser, Account admin, Account owner""",
    "Notion": """Member, Guest, Commenter, Wiki editor, Template author, Teamspace member, AI seat,
        Teamspace owner, Integration author, Membership admin, Workspace owner""",
}
APPS = [*ROLES, *"Jira Confluence Zendesk Miro Asana Datadog Dropbox Tableau HubSpot".split()]
OTHER_ROLES = """Reader, Contributor, Editor, Approver, Reporter, Auditor, Automation author,
    Template manager, Connector manager, Billing contact, Site admin, Owner"""
DESCRIPTIONS = {
    "seat": "Licensed to use {app} as {role}",
    "permission": "May do in {app} what belongs to {role}",
    "admin": "Administers {app} as {role}",
    "project": "Takes part in one project of {app} only",
}

REASONS = (  # four per operation: provision, update, delete; waves are made of the first of them
    ("507", "License pool exhausted: 250 of 250 seats used, request #{number}"),
    ("409", "SCIM 409: userName {user} already exists"),
    ("422", "{app} rejected the e-mail domain of {user}"),
    ("429", "HTTP 429 Too Many Requests, retry after {seconds} s"),
    ("401", "Token expired at {when}"),
    ("412", "Version conflict: expected W/{number}, {user} was changed in {app}"),
    ("504", "{app} did not answer within {seconds} s"),
    ("400", "SCIM 400: role {number} no longer exists in {app}"),
    ("423", "{user} still owns {seconds} items; transfer the ownership first"),
    ("403", "Not permitted to remove {user}: last administrator of team {number}"),
    ("503", "{app} is under maintenance, ticket INC{number}"),
    ("451", "{user} is on legal hold {number}"),
)
REASONS_EACH = 4


def _folded(name: str) -> str:
    """A name as it is written in an address."""
    latin = normalize("NFKD", name.lower().translate(str.maketrans("øłđı", "oldi")))
    return re.sub("[^a-z]", "", latin)


def _people() -> tuple[np.ndarray, np.ndarray]:
    """Names, in no order, and the handles that go with them."""
    pairs = np.random.default_rng(7).permutation([*product(GIVEN, FAMILY)])
    people = {f"{given} {family}": f"{_folded(given)}.{_folded(family)}" for given, family in pairs}
    names, handles = zip(*(WHOLE_NAMES | people).items(), strict=True)
    return np.array(names, object), np.array(handles, object)


NAMES, HANDLES = _people()

# ---- how an account lives -----------------------------------------------------------------------

(P_AWAITING, P_ONGOING, P_FAILED, ONBOARDED, U_AWAITING, U_ONGOING, U_FAILED) = range(7)
(D_AWAITING, D_ONGOING, D_FAILED, DELETED, GONE) = range(7, 12)  # places in STATE_NAMES, and gone
FAILED = (P_FAILED, U_FAILED, D_FAILED)
IS_BUSY = np.array([state.operation is not None for state in STATES] + [False])


class Step(NamedTuple):
    """What may become of an account by the next day."""

    chance: float
    to: int
    odds: float  # that it goes `otherwise` instead
    otherwise: int
    active: float  # the share of the accounts in this state that are active in the app


STEPS = {
    P_AWAITING: Step(0.42, P_ONGOING, 0, GONE, 0.02),
    P_ONGOING: Step(0.45, ONBOARDED, 0.20, P_FAILED, 0.05),
    P_FAILED: Step(0.05, P_AWAITING, 0, GONE, 0.03),
    ONBOARDED: Step(0.0060, U_AWAITING, 0.47, D_AWAITING, 0.95),
    U_AWAITING: Step(0.42, U_ONGOING, 0, GONE, 0.95),
    U_ONGOING: Step(0.45, ONBOARDED, 0.20, U_FAILED, 0.95),
    U_FAILED: Step(0.05, U_AWAITING, 0, GONE, 0.90),
    D_AWAITING: Step(0.42, D_ONGOING, 0, GONE, 0.70),
    D_ONGOING: Step(0.45, DELETED, 0.15, D_FAILED, 0.60),
    D_FAILED: Step(0.05, D_AWAITING, 0, GONE, 0.55),
    DELETED: Step(0, GONE, 0.04, P_AWAITING, 0.10),  # when its time is over, not by chance
    GONE: Step(0.0005, P_AWAITING, 0, GONE, 0),
}
CHANCE, TO, ODDS, OTHERWISE, ACTIVE = map(np.array, zip(*STEPS.values(), strict=True))
JOINS = 0.0026  # new accounts per account and day; about as many are deleted
SETTLING_DAYS = 60  # lived before the first snapshot, so that it shows an ordinary day
EVERY_STATE_FROM = 100  # accounts; in a smaller integration a state may be empty
SIZES = (1.0, 1.6, 1.2, 0.7, 0.9, 0.5)  # of the integrations, times `accounts`
DAY = np.timedelta64(1, "D")


class Wave(NamedTuple):
    """Days on which most jobs of an integration fail, counted back from the newest snapshot."""

    first: int = -1
    last: int = 0
    updates: float = 1  # the chance of an account to get an update job, per day
    joins: float = 1  # times the ordinary number
    repair: float = 1  # the chance of a failed job to be tried again, per day after the wave

    def is_on(self, ago: int) -> bool:
        """Whether jobs fail on this day."""
        return self.last <= ago <= self.first

    def is_healing(self, ago: int) -> bool:
        """Whether what has failed is being repaired on this day."""
        return self.last - 6 <= ago < self.last

    def chance_and_odds(self, ago: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of `STEPS`, as the wave changes them on one day."""
        chance, odds = CHANCE.copy(), ODDS.copy()
        if self.is_on(ago):
            chance[ONBOARDED] = self.updates
            odds[ONBOARDED] *= CHANCE[ONBOARDED] / self.updates
            odds[[P_ONGOING, U_ONGOING]] = 0.9 * min(1, (self.first - ago + 1) / 5)
            chance[[P_FAILED, U_FAILED]] = 0.02
        elif self.is_healing(ago):
            chance[[P_FAILED, U_FAILED]] = self.repair
            chance[[P_AWAITING, P_ONGOING, U_AWAITING, U_ONGOING]] = 0.95
            odds[[P_ONGOING, U_ONGOING]] = 0.03
        return chance, odds


CALM = Wave()
WAVES = {
    "salesforce-emea": Wave(first=34, last=22, updates=0.038, joins=5, repair=0.6),
    "zoom": Wave(first=12, last=5, updates=0.032, joins=3, repair=0.07),
}

# ---- a population -------------------------------------------------------------------------------


class Population:
    """The accounts of one integration, as columns with a place for each that will ever exist."""

    def __init__(self, number: int, accounts: int, days: int, until: datetime, seed: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        self.number, self.app = number, APPS[number % len(APPS)]
        again = f"-{number // len(APPS) + 1}" if number >= len(APPS) else ""
        self.name = self.app + again.replace("-", " ")
        self.slug = self.app.lower().replace(" ", "-") + again
        self.wave = WAVES.get(self.slug, CALM)
        self.days, self.until = days + SETTLING_DAYS, np.datetime64(until, "s")
        self._admit(max(1, round(accounts * SIZES[number % len(SIZES)])))
        self._introduce()
        self._assign_roles()
        for ago in range(self.days - 1, days - 1, -1):
            self.live(ago)

    def _admit(self, founders: int) -> None:
        """Those there from the start, and the days on which the others will join."""
        agos = np.arange(self.days - 1, -1, -1)
        rush = np.where([self.wave.is_on(int(ago)) for ago in agos], self.wave.joins, 1)
        joining = np.repeat(agos, self.rng.poisson(JOINS * founders * rush))
        self.joined = np.append(np.full(founders, self.days), joining)
        self.size, self.has_every_state = self.joined.size, founders >= EVERY_STATE_FROM
        self.state = np.where(self.joined == self.days, ONBOARDED, GONE).astype(np.int8)
        if self.has_every_state:
            self.state[:GONE] = range(GONE)
        self.changed_at = self.until - self.joined * DAY
        self.changed_at[:founders] -= self.rng.integers(1, 2 * 365 * 86_400, founders)

    def _introduce(self) -> None:
        """Who they are, and what each of them is inclined to."""
        rng, size = self.rng, self.size
        crowd = np.arange(2 * size)  # its first people have an account nearly everywhere
        person = np.argsort(crowd + rng.normal(0, size / 2, crowd.size), kind="stable")[:size]
        second = np.flatnonzero(rng.random(size) < 0.008)[1:]  # accounts of the person before
        person[second] = person[second - 1]
        service = rng.random(size) < 0.05
        self.identity = _identities(self.slug, person, second, service)
        self.matched = ~service
        self.pace = np.where(rng.random(size) < 0.10, 0.05, 1)  # some jobs are stuck for weeks
        self.stays_deleted = rng.integers(10, 31, size) * DAY
        self.whim = rng.random(size)  # makes accounts in the same state differ
        self.reason, self.detail = np.zeros(size, np.int8), np.zeros(size, np.int16)

    def _assign_roles(self) -> None:
        """All roles that an account may come to hold, in a row; it holds the first few of them."""
        rng, size = self.rng, self.size
        self.catalogue, common = _catalogue(self.app)
        few, several = rng.choice([1, 1, 2, 2, 3, 4], size), rng.integers(8, 16, size)
        self.held = np.where(rng.random(size) < 0.06, several, few)
        founders = np.flatnonzero(self.state == ONBOARDED)
        collectors = rng.permutation(founders)[:2]
        self.held[collectors] = rng.integers(30, 61, collectors.size)
        self.limit = self.held + 2
        self.first_role = np.cumsum(self.limit) - self.limit
        strides = [stride for stride in range(1, common) if gcd(stride, common) == 1]
        start = (common * rng.random(size) ** 2).astype(int)
        walk, stride = (np.repeat(x, self.limit) for x in (start, rng.choice(strides, size)))
        place = _places(self.limit)
        role = np.where(place < common, (walk + place * stride) % common, place + 2)
        chief = np.flatnonzero(rng.random(size) < np.where(self.matched, 0.03, 0.4))
        role[self.first_role[chief]] = common + chief % 2
        self.role = role.astype(np.int16)
        age = rng.integers(0, 300, role.size) * np.repeat(self.joined == self.days, self.limit)
        self.since = np.repeat(self.changed_at.astype("M8[D]"), self.limit) - age

    def live(self, ago: int) -> None:
        """One day: every account takes one step, or none."""
        now, before = self.until - ago * DAY, self.state.copy()
        chance, odds = self.wave.chance_and_odds(ago)
        patience = 1 if self.wave.is_healing(ago) else np.where(IS_BUSY[before], self.pace, 1)
        is_over = (before == DELETED) & (now - self.changed_at > self.stays_deleted)
        moving = is_over | (self.rng.random(self.size) < chance[before] * patience)
        moving &= self.joined > ago
        if self.has_every_state:
            moving[self._last_in_their_state(moving)] = False
        aside = self.rng.random(self.size) < odds[before]
        self.state[moving] = np.where(aside, OTHERWISE[before], TO[before])[moving]
        self.state[self.joined == ago] = P_AWAITING
        changed = np.flatnonzero(self.state != before)
        self.changed_at[changed] = now - self.rng.integers(1, 86_400, changed.size)
        self._explain(changed[np.isin(self.state[changed], FAILED)], self.wave.is_on(ago))
        self._revise(changed[(before[changed] == U_ONGOING) & (self.state[changed] == ONBOARDED)])

    def _last_in_their_state(self, moving: np.ndarray) -> np.ndarray:
        """Of each state that all would leave, the newest account: it waits for another to come."""
        movers = np.flatnonzero(moving & (self.state != GONE))
        movers = movers[np.argsort(-self.changed_at[movers].astype(int), kind="stable")]
        states, newest = np.unique(self.state[movers], return_index=True)
        staying = np.bincount(self.state[~moving], minlength=GONE + 1)
        return movers[newest[staying[states] == 0]]

    def _explain(self, failed: np.ndarray, in_a_wave: bool) -> None:
        """Each integration has its own usual troubles; a wave has one cause per operation."""
        usual = (self.number + 3 * self.rng.random(failed.size) ** 2).astype(int) % REASONS_EACH
        hit = in_a_wave & (self.rng.random(failed.size) < 0.85)
        operation = np.searchsorted(FAILED, self.state[failed])
        self.reason[failed] = operation * REASONS_EACH + np.where(hit, 0, usual)
        self.detail[failed] = self.rng.integers(1000, 9999, failed.size)

    def _revise(self, updated: np.ndarray) -> None:
        """An update gives or takes a role; now and then it finds a user, or loses one."""
        gives = self.rng.random(updated.size) < 0.6
        gaining = updated[gives & (self.held[updated] < self.limit[updated])]
        self.since[self.first_role[gaining] + self.held[gaining]] = self.changed_at[gaining]
        self.held[gaining] += 1
        self.held[updated[~gives & (self.held[updated] > 1)]] -= 1
        self.matched[updated] ^= self.rng.random(updated.size) < 0.03

    def accounts(self) -> pa.Table:
        """One row per account that is there today."""
        here = np.flatnonzero(self.state != GONE)
        state, whim = self.state[here], self.whim[here]
        reason = pa.array(self.reason[here], mask=~np.isin(state, FAILED))
        codes, texts = zip(*REASONS, strict=True)
        columns = {
            "app": pa.repeat(self.app, here.size),
            "matched": self.matched[here],
            "roles": self._roles(here),
            "active": pa.array(whim < ACTIVE[state], mask=whim * 997 % 1 < 0.02),
            "state": pa.array(STATE_NAMES).take(pa.array(state)),
            "code": pa.array(codes).take(reason),
            "reason": pa.array(texts).take(reason),
            "detail": self.detail[here],
            "changed_at": self.changed_at[here].astype("M8[us]"),
        }
        identity = self.identity.take(here)
        return pa.table([*identity.columns, *columns.values()], [*identity.column_names, *columns])

    def _roles(self, here: np.ndarray) -> pa.ListArray:
        lost = (self.state[here] == DELETED) & (self.whim[here] > 0.2)
        count = np.where(lost, 0, self.held[here])
        held = np.repeat(self.first_role[here], count) + _places(count)
        role = self.catalogue.take(self.role[held]).combine_chunks()
        role = role.append_column("since", pa.array(self.since[held]))
        offsets = pa.array(np.append(0, np.cumsum(count)), pa.int32())
        return pa.ListArray.from_arrays(offsets, role.to_struct_array().combine_chunks())


def _places(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2 … as often as each count says: 2 and 3 give 0 1 0 1 2."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _numbered(words: np.ndarray, nth: np.ndarray) -> np.ndarray:
    """The nth word; when the words are used up, again with a number: a, b, a2, b2."""
    again = nth // len(words)
    return words[nth % len(words)] + np.where(again > 0, _text(again + 1), "")


def _text(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(str).astype(object)


def _identities(slug: str, person: np.ndarray, second: np.ndarray, service: np.ndarray) -> pa.Table:
    """What stays the same of an account, and of the person it may be matched with."""
    handle = _numbered(HANDLES, person)
    username = handle + USERNAME_ENDINGS.get(slug, "@northwind.example")
    username[second] = "admin-" + username[second]
    username[service] = _numbered(np.array(SERVICES, object), np.arange(service.sum()))
    upstream = "00u" + _text(1_000_003 + person * 7919)
    upstream[person % 29 == 0] = None
    columns = {
        "account_id": f"{slug}-" + _text(100_001 + np.arange(person.size)),
        "username": username,
        "name": NAMES[person % len(NAMES)],
        "email": handle + "@" + np.array(DOMAINS, object)[person % len(DOMAINS)],
        "upstream_user_id": upstream,
    }
    return pa.table(columns)


def _catalogue(app: str) -> tuple[pa.Table, int]:
    """The roles of an app: so many common ones, two that administer it, and those of projects."""
    names = re.split(r",\s+", ROLES.get(app, OTHER_ROLES))
    kinds = ["seat"] * 3 + ["permission"] * (len(names) - 5) + ["admin"] * 2
    of_projects = [f"{p} {role}" for p, role in product(PROJECTS, ("viewer", "editor", "owner"))]
    roles = [*zip(names, kinds, strict=True), *((name, "project") for name in of_projects)]
    rows = [
        {
            "name": name,
            "type": kind,
            "description": DESCRIPTIONS[kind].format(app=app, role=name),
            "via": f"sg-{app} {name}".lower().replace(" ", "-") if nth % 4 else None,
        }
        for nth, (name, kind) in enumerate(roles)
    ]
    return pa.Table.from_pylist(rows), len(names) - 2


# ---- files --------------------------------------------------------------------------------------

ROLE = pa.struct(
    [
        *((key, pa.string()) for key in ("name", "type", "description", "via")),
        ("since", pa.date32()),
    ]
)
TYPES = pa.schema(
    {
        "account_id": pa.string(),
        "username_in_app": pa.string(),
        "user_name": pa.string(),
        "user_email": pa.string(),
        "roles": pa.list_(ROLE),
        "active_in_app": pa.bool_(),
        "upstream_user_id": pa.string(),
        "provisioning_state": pa.string(),
        "state_reason": pa.string(),
        "failure_code": pa.string(),
        "last_updated": pa.timestamp("us"),
    }
)
AT_A_TIME = 50_000
"""Accounts that are held as Python values at a time."""

Records = Iterator[dict[str, Any]]


def _records(accounts: pa.Table) -> Records:
    """One record per account, with the columns of a snapshot file."""
    for batch in accounts.to_batches(max_chunksize=AT_A_TIME):
        for account in batch.to_pylist():
            person = account if account["matched"] else {}
            yield {
                "account_id": account["account_id"],
                "username_in_app": account["username"],
                "user_name": person.get("name"),
                "user_email": person.get("email"),
                "roles": account["roles"],
                "active_in_app": account["active"],
                "upstream_user_id": person.get("upstream_user_id"),
                "provisioning_state": account["state"],
                "state_reason": account["reason"] and _told(account),
                "failure_code": account["code"]
                and f"{account['app'][:3].upper()}-{account['code']}",
                "last_updated": account["changed_at"],
            }


def _told(account: dict[str, Any]) -> str:
    return account["reason"].format(
        app=account["app"],
        user=account["username"],
        number=account["detail"],
        seconds=account["detail"] % 90,
        when=_iso(account["changed_at"]),
    )


def _iso(day_or_time: date) -> str:
    is_time = isinstance(day_or_time, datetime)
    return f"{day_or_time:%Y-%m-%dT%H:%M:%SZ}" if is_time else f"{day_or_time}"


def _write_parquet(path: Path, records: Records) -> None:
    with parquet.ParquetWriter(path, TYPES) as file:
        while batch := [*islice(records, AT_A_TIME)]:
            file.write_batch(pa.RecordBatch.from_pylist(batch, schema=TYPES))


def _write_separated(path: Path, records: Records, *, delimiter: str) -> None:
    """With the headings of the Users table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(HEADINGS)
        writer.writerows(map(_headed, records))


HEADINGS = (
    "User",
    "Username in app",
    "App access",
    "Active in app",
    "Upstream user ID",
    "Provisioning state",
    "Last updated",
    "Reason",
    "Failure code",
)


def _headed(record: dict[str, Any]) -> list[str | None]:
    name, active = record["user_name"], record["active_in_app"]
    return [
        f"{name} <{record['user_email']}>" if name else None,
        record["username_in_app"],
        "; ".join(role["name"] for role in record["roles"]),
        None if active is None else "Yes" if active else "No",
        record["upstream_user_id"],
        record["provisioning_state"],
        _iso(record["last_updated"]),
        record["state_reason"],
        record["failure_code"],
    ]


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=_iso)


def _write_json_lines(path: Path, records: Records) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_json(record)}\n" for record in records)


def _write_json_array(path: Path, records: Records) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, record in enumerate(records):
            file.write((",\n" if number else "[\n") + _json(record))
        file.write("\n]\n")


def _write_packed_json_lines(path: Path, records: Records) -> None:
    """Without the time of packing, so that the same records give the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        for record in records:
            file.write(f"{_json(record)}\n".encode())


FORMATS: tuple[tuple[str, Callable[[Path, Records], None]], ...] = (
    ("parquet", _write_parquet),
    ("csv", partial(_write_separated, delimiter=",")),
    ("ndjson", _write_json_lines),
    ("json", _write_json_array),
    ("tsv", partial(_write_separated, delimiter="\t")),
    ("jsonl.gz", _write_packed_json_lines),
)
"""Ending, and what writes such a file; one per integration in turn."""


def write_sample(directory: Path, **options: Any) -> list[Path]:
    """Write sample snapshots, with the options of `sample_snapshots`; the paths, oldest first."""
    return [*sample_snapshots(directory, **options)]


def sample_snapshots(
    directory: Path,
    *,
    accounts: int = 300,
    days: int = 90,
    integrations: int = 6,
    seed: int = 1,
    until: datetime | None = None,
) -> Iterator[Path]:
    """Write `<integration>/<taken_at>.<ext>`, one a day; each path once its file is complete.

    The newest are taken at `until` (naive UTC). The same arguments give the same bytes.
    """
    until = until or latest_morning(datetime.now(UTC).replace(tzinfo=None))
    populations = [Population(i, accounts, days, until, seed) for i in range(integrations)]
    for ago in range(days - 1, -1, -1):
        for population in populations:
            population.live(ago)
            yield _write(population, directory, until - timedelta(days=ago))


def _write(population: Population, directory: Path, taken_at: datetime) -> Path:
    """One snapshot; it gets its name only once it is complete."""
    ending, write = FORMATS[population.number % len(FORMATS)]
    path = directory / population.name / f"{taken_at:%Y-%m-%dT%H-%M-%SZ}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    write(unfinished, _records(population.accounts()))
    return unfinished.replace(path)


def latest_morning(now: datetime) -> datetime:
    """06:00 of the day, or of the day before while that has not come; naive UTC, as `now`."""
    return (now - timedelta(hours=6)).replace(hour=6, minute=0, second=0, microsecond=0)
