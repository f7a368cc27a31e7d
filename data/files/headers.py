"""What headings are called: Rollcall's own names, and those of others in eight languages."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

CREDENTIAL_PATTERN = re.compile(
    r"passwor[dt]|passwd|passphrase|passcode|(?:\b|_)(?:pass|pwd|pin)(?:\b|_)"
    r"|token|secret|credential|(?:api|private|activation|recovery)[\s_-]?(?:key|code)"
    r"|kennwort|mot de passe|contrase[nñ]a|senha|wachtwoord|パスワード",
    re.IGNORECASE,
)
"""Headings of columns that are never stored. DuckDB reads the pattern, too."""

OWN_HEADINGS: dict[str, tuple[str, ...]] = {
    "username_in_app": ("usernameinapp",),
    "account_id": ("accountid",),
    "user_text": ("usertext", "user"),
    "user_name": ("user_name",),
    "user_email": ("useremail", "email"),
    "roles": ("roles", "appaccess"),
    "role_resource": ("roleresource",),
    "active_in_app": ("activeinapp",),
    "upstream_user_id": ("upstreamuserid",),
    "provisioning_state": ("provisioningstate",),
    "state_source": ("statesource",),
    "state_reason": ("statereason", "reason"),
    "failure_code": ("failurecode",),
    "last_updated": ("lastupdated", "lastupdated(utc)"),
    "last_sign_in": ("lastsignin", "lastsignin(utc)"),
}
"""Column of a snapshot → the keys of its name and of its heading on the page."""

DOCUMENTED_HEADINGS: dict[str, tuple[str, ...]] = {
    "username_in_app": ("username", "login"),
    "account_id": ("id",),
    "roles": ("entitlements",),
    "active_in_app": ("active",),
    "upstream_user_id": ("externalid",),
    "state_reason": ("error", "failurereason"),
    "failure_code": ("errorcode",),
    "last_updated": ("updatedat",),
    "last_sign_in": ("lastlogin",),
}
"""Further headings that docs/own-data.md promises: only values of another kind contradict them."""

SYNONYMS: dict[str, str] = {
    "username_in_app": """
        sam account name, user principal name, upn, login name, log in name, logon name, logon
        user login, sign in name, user account, login id, login email, usename, rolname
        benutzerprinzipalname, nom d'utilisateur principal, nombre principal de usuario
        nome principal do usuário, nome principal de utilizador, nome entità utente
        ユーザープリンシパル名
        benutzername, anmeldename, benutzerkennung, kennung, anmeldung, kontoname, nutzername
        nom d'utilisateur, nom utilisateur, identifiant, identifiant de connexion
        nombre de usuario, nombre usuario, cuenta de usuario, inicio de sesión
        nome de usuário, nome do usuário, nome de utilizador, login do usuário
        ユーザー名, ログイン名, ログインid, アカウント名
        gebruikersnaam, inlognaam, aanmeldingsnaam, accountnaam, nome utente, nome account""",
    "handle": """
        user, user name, user id, userid
        benutzer, nutzer, anwender, benutzer id, utilisateur, usuario, usuário, utilizador
        ユーザー, ユーザーid
        gebruiker, gebruikers id, utente, id utente""",
    "login_name": "name",
    "account_id": """
        user id, userid, object id, object guid, user guid, account guid, guid, uuid, uid
        member id, unique id
        benutzer id, konto id, konto nummer, kontonummer, identifiant unique, id utilisateur
        id de usuario, id usuario, id da conta, id do usuário, ユーザーid, アカウントid
        gebruikers id, account nummer, id utente, id account""",
    "upstream_user_id": """
        upstream id, external user id, idp user id, idp id, sso id, azure object id, okta id
        externe id, id externe, id externo, 外部id""",
    "user_name": """
        full name, fullname, display name, real name, user full name, employee name, member name
        common name, cn, name full name, name formatted
        vollständiger name, anzeigename, vor und nachname, nom complet, nom et prénom, nom affiché
        nom d'affichage
        nombre completo, nombre y apellidos, nombre para mostrar, nome completo, nome de exibição
        氏名, 表示名, 名前, フルネーム
        volledige naam, weergavenaam, nome visualizzato, nome e cognome""",
    "given_name": """
        first name, given name, forename, name given name
        vorname, prénom, nombre, nombres, primer nombre, nome, primeiro nome, 名
        voornaam""",
    "family_name": """
        last name, family name, surname, sn, name family name
        nachname, familienname, nom de famille, nom, apellido, apellidos, primer apellido
        sobrenome, apelido, último nome, 姓, achternaam, familienaam, cognome""",
    "short_name": "name, username, nom, nombre, nome, naam, person, employee, mitarbeiter"
    ", mitarbeiterin",
    "user_email": """
        email address, e mail, mail, mail address, primary email, user email, work email
        business email, company email, contact email, email id, email work, emails
        user id email
        e mail adresse, mailadresse, courriel, adresse email, adresse e mail, adresse de courriel
        correo electrónico, correo, dirección de correo electrónico, correo electronico
        endereço de email, endereço de e mail, correio eletrônico
        メールアドレス, メール, eメール
        e mailadres, emailadres, indirizzo email, indirizzo e mail, posta elettronica""",
    "roles": """
        role, user role, user roles, role name, role names, app role, app roles, access role
        entitlement, permission, permissions, permission set, permission sets, assigned roles
        security role, security roles, group, groups, group name, group names, user groups
        group memberships, member of
        mitglied von, membre de, miembro de, membro de, membro di, lid van
        rolle, rollen, benutzerrolle, berechtigung, berechtigungen, gruppe, gruppen
        rôle, rôles, droits, autorisations, groupe, groupes
        rol, permiso, permisos, grupo, grupos, função, funções, papel, papéis, perfil
        権限, ロール, 役割, グループ
        gebruikersrol, gebruikersrollen, rechten, machtigingen, groep, groepen
        ruolo, ruoli, permessi, autorizzazioni, gruppo, gruppi""",
    "active_in_app": """
        is active, user active, account active, enabled, enable, is enabled, account enabled
        user enabled, account status, user status, member status, login status, status, state
        user state, account state, activated
        aktiv, ist aktiv, aktiviert, konto aktiv, kontostatus, benutzerstatus, zustand
        actif, est actif, activé, compte actif, statut, statut du compte, état
        activo, habilitado, estado, estado de la cuenta, ativo, situação, status da conta
        有効, 状態, ステータス, アカウント状態
        actief, ingeschakeld, accountstatus, attivo, abilitato, stato, stato account""",
    "inactive": """
        disabled, is disabled, account disabled, suspended, is suspended, deactivated, blocked
        is blocked, block sign in, block credential, sign in blocked, inactive, is inactive
        archived, is archived, is deleted, deleted, locked, is locked, locked out, account locked
        gesperrt, deaktiviert, inaktiv, archiviert, désactivé, suspendu, bloqué, inactif
        desactivado, suspendido, bloqueado, inactivo, desativado, suspenso, bloqueado, inativo
        konto deaktiviert, konto gesperrt, benutzer gesperrt, compte désactivé, compte bloqué
        cuenta desactivada, cuenta deshabilitada, cuenta bloqueada, conta desativada
        conta bloqueada, account disabilitato, account bloccato, account geblokkeerd
        anmeldung blockiert, bloquer les informations d'identification, bloquear credenciales
        bloquear credencial, inicio de sesión bloqueado, entrada bloqueada, accesso bloccato
        無効, 停止, サインインのブロック
        uitgeschakeld, geblokkeerd, gedeactiveerd, disabilitato, disattivato, sospeso, bloccato""",
    "provisioning_state": """
        provisioning status, sync state, sync status, lifecycle state, state, status, job status
        bereitstellungsstatus, zustand, statut, état, estado, situação, 状態, ステータス
        stato""",
    "state_reason": "failure message, error message, fehlergrund, grund, fehler, motif, motivo"
    ", reden, foutmelding, errore",
    "failure_code": "fehlercode, code d'erreur, código de error, código de erro"
    ", foutcode, codice errore",
    "last_updated": """
        last updated at, last update, updated, updated on, update time, date updated, modified
        modified at, modified on, last modified, last modified at, last modified date
        modification date, date modified, last changed, changed at, when changed, last change
        change date
        aktualisiert, aktualisiert am, zuletzt aktualisiert, letzte aktualisierung, geändert
        geändert am, zuletzt geändert, letzte änderung, änderungsdatum
        date de modification, date de mise à jour, mis à jour, mis à jour le
        dernière mise à jour, modifié le, dernière modification
        actualizado, última actualización, fecha de modificación, última modificación
        atualizado em, última atualização, data de modificação, 更新日, 更新日時, 最終更新日時
        wijzigingsdatum, bijgewerkt, bijgewerkt op, laatst bijgewerkt, gewijzigd, gewijzigd op
        laatst gewijzigd
        aggiornato, ultimo aggiornamento, modificato, ultima modifica, data modifica""",
    "last_sign_in": """
        last sign in at, last sign in date, last sign in time, last sign in date time
        last signed in, last signed in at, last signed in on, last connection
        last connection date, last connected, last connected at, last login timestamp
        last logon timestamp, last sign in timestamp, last sign on, last log in, last login at
        last login date, last login time
        last login date time, last login on, last logged in, last logged in at, last logged in on
        last logon, last logon date
        last logon time, last successful login, last successful sign in, last success login
        last authentication, last authenticated, last active, last active at, last active date
        last active time, last activity, last activity at, last activity date, last activity time
        date last signed in, last seen, last seen at, last seen on, last access, last accessed
        last accessed at
        last access date, last access time, last used, last used at, last visit
        letzte anmeldung, letzter login, letztes login, letzte anmeldung am, zuletzt angemeldet
        zuletzt angemeldet am, zuletzt aktiv, zuletzt aktiv am, letzte aktivität, letzter zugriff
        zuletzt gesehen
        dernière connexion, date de dernière connexion, dernière connexion le, dernier accès
        dernière activité, dernière ouverture de session
        último inicio de sesión, última conexión, último acceso, fecha de último acceso
        fecha del último acceso, última actividad
        último login, data do último login, último acesso, data do último acesso, última atividade
        último início de sessão, última conexão
        最終ログイン, 最終ログイン日, 最終ログイン日時, 最終サインイン, 最終サインイン日時
        最終アクセス, 最終アクセス日時, 最終アクティビティ, 最終利用日
        laatste aanmelding, laatst aangemeld, laatste login, laatste activiteit
        ultimo accesso, data ultimo accesso, ultimo login, ultima attività""",
}
"""Column, or part of one → further headings, best first.

`handle` is a username where the values are no names of people, and `login_name` where they look
like one; `given_name` and `family_name` are the user together; `short_name` is the user where
nothing better is; `inactive` says the opposite.
"""

PARTIAL_HEADINGS: dict[str, str] = {
    "username_in_app": "username, user name, login, logon, upn, account name, principal name"
    ", grantee name, benutzername, identifiant, usuario",
    "user_email": "email, emails, mail, courriel, correo",
    "user_name": "full name, display name, fullname",
    "roles": "role, roles, group, groups, permission, permissions, privilege, privileges, license"
    ", licenses, profile, access level, access type, user type, account type, member type, seat"
    ", seats, rolle, rollen, gruppe, gruppen, lizenz, lizenzen, berechtigung, rechte, zugriff"
    ", kontotyp, benutzertyp, benutzergruppe, benutzergruppen, benutzerrollen, profil, rôle"
    ", licence, licences"
    ", type de compte, rol, grupo, licencia, tipo de cuenta, licença, tipo de conta, ライセンス",
    "role_mark": "admin, administrator, superuser, staff, moderator",
    "active_in_app": "active, enabled, status, suspended, disabled, locked, aktiv, gesperrt, actif"
    ", deaktiviert, statut, désactivé, bloqué, estado, bloqueado, stato, bloccato, geblokkeerd",
    "upstream_user_id": "external id, employee id, employee number, personalnummer, name id, sso",
    "provisioning_state": "provisioning, sync",
    "last_updated": "updated, modified, changed, geändert, aktualisiert, modifié",
}
"""Column → words in a heading that look like it. A person decides about them."""

UNSURE_IN_BRACKETS = ("active_in_app", "inactive", "provisioning_state")
"""`Block sign in [accountEnabled]` means the opposite of what the brackets say."""

PLACES = ("state", "estado", "stato")
"""Headings that can be those of a part of a country."""

CODED = re.compile(r"stat(?!e of)|etat|estado|zustand|situa|状態|ステータス")
"""Headings of a status: a number below can be a code of the product, not yes or no."""

END = re.compile(
    r"(?:deleted?|deactivated|disabled|suspended|blocked|terminated|removed|archived|offboarded)"
    r" (?:at|on|date|time|datetime|timestamp)|(?:deletion|deactivation|termination) (?:date|time)"
)
"""Headings over times from which on an account is no longer active."""

KIND_HEADINGS = frozenset(
    "kind type typ tipo art principaltype objecttype membertype objectclass granteetype"
    " identitytype subjecttype entitytype prinzipaltyp objekttyp mitgliedstyp".split()
)
"""Headings of what a row is: a user or a group."""

OTHER_SUBJECTS = frozenset(
    "manager supervisor owner creator created creation approver author sponsor by last age 2sv 2fa"
    " tfa mfa totp two factor dir sso webhook verified recovery backup secondary alternative"
    " authentication country public letzter letzte letztes zuletzt dernier derniere ultimo"
    " ultima".split()
)
"""Words in a heading of something else: the manager's email, the last login."""


LIST_SHEET, FURTHER_SHEETS = "Accounts", ("Roles", "History", "About")
"""The sheets of a list that Rollcall wrote; the further ones say more about its accounts."""

COLUMN_OF_PART = {
    "handle": "username_in_app",
    "login_name": "username_in_app",
    "email_login": "username_in_app",
    "given_name": "user_name",
    "family_name": "user_name",
    "short_name": "user_name",
    "inactive": "active_in_app",
    "role_mark": "roles",
}

COLUMN_TITLES = {
    "account_id": "Account ID",
    "user_text": "User (name and email)",
    "roles": "App access",
    "upstream_user_id": "Upstream user ID",
    "state_reason": "Reason",
    "last_sign_in": "Last sign-in",
}
"""Column → what a person reads, where that is not its name."""


def column_title(name: str) -> str:
    """What a person reads: `Username in app`."""
    return COLUMN_TITLES.get(name) or name.replace("_", " ").capitalize()


def heading_key(heading: str) -> str:
    """A heading in lower case, without spaces, underscores and dashes."""
    return re.sub(r"[\s_\-]+", "", heading).casefold()


def own_columns(headings: list[str]) -> dict[str, str]:
    """Snapshot column → the heading that has its own name, in the order of OWN_HEADINGS.

    `user_name`, written with a separator, is the person's name. `userName` is the name in the app,
    as in SCIM. This is the only pair with the same heading key.
    """
    by_key: dict[str, str] = {}
    for heading in headings:
        by_key.setdefault(specific_key(heading), heading)
    found = {}
    for position in (0, 1):
        for name, keys in OWN_HEADINGS.items():
            if name not in found and keys[position:] and keys[position] in by_key:
                found[name] = by_key.pop(keys[position])
    return found


def match_columns(headings: Iterable[str]) -> dict[str, str]:
    """Snapshot column → a heading that names it, whatever its values are."""
    remaining = list(headings)
    matched = own_columns(remaining)
    for heading in remaining:
        names = [COLUMN_OF_PART.get(name, name) for name in ranks_of(heading)]
        free_name = next((name for name in names if name not in matched), None)
        if free_name and heading not in matched.values():
            matched[free_name] = heading
    return matched


def specific_key(heading: str) -> str:
    """The heading key; `user_name` for a heading that is written with a separator."""
    key = heading_key(heading)
    has_separator = re.search(r"\w[\s_\-]+\w", heading.strip())
    return "user_name" if key == "username" and has_separator else key


def heading_words(heading: str) -> str:
    """The words of a heading, without case, accents, punctuation and remarks in brackets."""
    bare = re.sub(r"[(\[{][^)\]}]*[)\]}]", " ", heading)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare if bare.strip() else heading)
    plain = "".join(
        character if character.isalnum() else " "
        for character in unicodedata.normalize("NFKD", spaced.casefold())
        if not unicodedata.combining(character)
    )
    return " ".join(plain.split())


def ranks_of(heading: str) -> dict[str, int]:
    """Column, or part of one → the place of the heading among its names; 0 for the best."""
    words = heading_words(heading).replace(" ", "")
    if specific_key(heading) == "user_name":
        return {"user_name": 0, "handle": -1}
    words = words.removesuffix("required")
    if words not in _ranks_by_words() and (in_brackets := re.search(r"\[(\w+)\]", heading)):
        words = heading_words(in_brackets[1]).replace(" ", "")
        ranks = _ranks_by_words().get(words, {})
        return {name: rank for name, rank in ranks.items() if name not in UNSURE_IN_BRACKETS}
    return _ranks_by_words().get(words, {})


def partial_columns(heading: str) -> list[str]:
    """The columns that a part of the heading names; none where it is about something else."""
    if is_about_others(heading):
        return []
    padded = f" {heading_words(heading)} "
    return [
        name
        for name, parts in _partial_words().items()
        if any(f" {part} " in padded for part in parts)
    ]


def names_a_fact(text: str) -> bool:
    """Whether the text is a heading, and none that is a username, too, such as “user”."""
    names = ranks_of(text)
    return bool(names) and not names.keys() & {"username_in_app", "handle", "user_text"}


def is_about_others(heading: str) -> bool:
    """Whether the heading names something else than the account and its access."""
    return not OTHER_SUBJECTS.isdisjoint(heading_words(heading).split())


def is_place(heading: str) -> bool:
    """Whether the heading can be that of a part of a country."""
    return heading_words(heading) in PLACES


def can_be_coded(heading: str) -> bool:
    """Whether numbers under the heading can be codes of the product, and not yes and no."""
    return CODED.search(heading_words(heading)) is not None


def is_kind(heading: str) -> bool:
    """Whether the column can say that a row is a group, and no user."""
    return heading_words(heading).replace(" ", "") in KIND_HEADINGS


def is_end(heading: str) -> bool:
    """Whether the heading is that of times from which on an account is no longer active."""
    return END.fullmatch(heading_words(heading)) is not None


def is_credential(heading: str) -> bool:
    """Whether the values are never stored. `Block credential` says only who is blocked."""
    return bool(CREDENTIAL_PATTERN.search(heading)) and "inactive" not in ranks_of(heading)


def is_documented(name: str, heading: str) -> bool:
    """Whether the documentation promises the heading for the column."""
    keys = OWN_HEADINGS.get(name, ()) + DOCUMENTED_HEADINGS.get(name, ())
    return specific_key(heading) in keys


@cache
def _ranks_by_words() -> dict[str, dict[str, int]]:
    ranks: dict[str, dict[str, int]] = {}
    for name in {**OWN_HEADINGS, **SYNONYMS}:
        own = (*OWN_HEADINGS.get(name, ()), *DOCUMENTED_HEADINGS.get(name, ()))
        names = (*own, *_split(SYNONYMS.get(name, "")))
        for rank, text in enumerate(names):
            ranks.setdefault(text.replace(" ", ""), {}).setdefault(name, rank)
    return ranks


@cache
def _partial_words() -> dict[str, list[str]]:
    return {name: _split(text) for name, text in PARTIAL_HEADINGS.items()}


def _split(text: str) -> list[str]:
    names = (name for line in text.splitlines() for name in line.split(","))
    return [heading_words(name) for name in names if name.strip()]
