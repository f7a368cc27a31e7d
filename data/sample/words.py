"""Names, roles and failure reasons of the sample."""

import re
from itertools import product
from unicodedata import normalize

import numpy as np

GIVEN_NAMES = """
Amara Björn Chidi Dalia Emre Fatou Giulia Héctor Ingrid Jiří Keiko Lūcija Mateo Nadège Oluwaseun
Priya Quentin Rosa Søren Tomasz Uchenna Vikram Wanjiru Ximena Yusuf Zoë
""".split()

FAMILY_NAMES = """Abara Bergström Castellanos Đurić Eriksen Fujimoto Grünwald Haddad Iyer Jankowski
Kowalczyk Lindqvist Mbeki-Thorne Núñez O'Brien Petrov Quispe Rasmussen Şahin Tanaka Usman Vasquez
Włodarczyk Xu Yılmaz Zielińska""".split()

FULL_NAMES = {
    "نور الهاشمي": "noor.alhashimi",
    "Seán Ó Súilleabháin-O'Brien": "sean.obrien",
    "Maximiliane Featherstonehaugh-Cholmondeley von Hohenlichtenburg": "max.featherstonehaugh",
    "山口 さくら": "sakura.yamaguchi",
    "Li": "li",
}

USERNAME_ENDINGS = {"salesforce-emea": "@northwind.example.emea", "slack": "", "github": "_nw"}

DOMAINS = ["northwind.example"] * 8 + ["partners.northwind.example", "fabrikam.example"]

SERVICE_ACCOUNTS = """svc-backup integration-bot ci-runner svc-reporting data-sync webhook-relay
legacy-import audit-export svc-monitoring test-automation break-glass shared-kiosk""".split()

PROJECTS = """Aurora Basalt Cascade Delta Ember Fjord Granite Harbour Isle Juniper Kestrel Lagoon
Meadow Nimbus Orchard Prairie Quartz Ridge Summit Tundra""".split()

ROLES_BY_APP = {  # common roles first; the last two are admin roles
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

APPS = [
    *ROLES_BY_APP,
    *"Jira Confluence Zendesk Miro Asana Datadog Dropbox Tableau HubSpot".split(),
]

DEFAULT_ROLES = """Reader, Contributor, Editor, Approver, Reporter, Auditor, Automation author,
    Template manager, Connector manager, Billing contact, Site admin, Owner"""

ROLE_DESCRIPTIONS = {
    "seat": "License for {app}: {role}",
    "permission": "{role} permissions in {app}",
    "admin": "Administrator of {app}: {role}",
    "project": "Member of one project in {app}",
}

# Four per operation: provision, update, delete. A wave has the first of each.
FAILURE_REASONS = (
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

REASONS_PER_OPERATION = 4


def _ascii_name(name: str) -> str:
    """A name as an address has it: ASCII letters only."""
    decomposed = normalize("NFKD", name.lower().translate(str.maketrans("øłđı", "oldi")))
    return re.sub("[^a-z]", "", decomposed)


def _people() -> tuple[np.ndarray, np.ndarray]:
    """Names in random order, and their handles."""
    pairs = np.random.default_rng(7).permutation([*product(GIVEN_NAMES, FAMILY_NAMES)])
    people = {
        f"{given} {family}": f"{_ascii_name(given)}.{_ascii_name(family)}"
        for given, family in pairs
    }
    names, handles = zip(*(FULL_NAMES | people).items(), strict=True)
    return np.array(names, object), np.array(handles, object)


NAMES, HANDLES = _people()
