"""The words that say whether an account is active."""

import re
import unicodedata
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func

from data.files.text import PLACEHOLDERS, is_word
from data.states import STATE_NAMES

ACTIVITY_WORDS: dict[bool | None, str] = {
    True: """
        true, yes, y, t, on, 1, 1.0, checked, ✓, ✔, ✅, ☑, active, activated, enabled, live, current
        active (never signed in), active (never logged in)
        on leave, leave of absence, employed, probation, notice period
        wahr, ja, aktiv, aktiviert, freigeschaltet
        vrai, oui, actif, activé, activée
        verdadero, sí, activo, activa, activado, activada, habilitado, habilitada
        verdadeiro, sim, ativo, ativa, ativado, ativada
        waar, actief, geactiveerd, ingeschakeld
        vero, sì, attivo, attiva, attivato, attivata, abilitato, abilitata
        真, はい, 有効, アクティブ
    """,
    False: """
        false, no, n, f, off, 0, 0.0, unchecked, ✗, ✘, ❌, ☒, ☐, inactive, deactivated, disabled
        not active, non active, no longer active, not enabled, suspended, blocked, locked
        locked out, archived, terminated, deprovisioned, deleted, removed, revoked, expired, closed
        banned, offboarded, resigned, retired, dismissed, left, left company, former employee
        falsch, nein, inaktiv, nicht aktiv, deaktiviert, gesperrt, archiviert, gelöscht, beendet
        abgelaufen
        faux, non, inactif, non actif, désactivé, désactivée, bloqué, bloquée, suspendu, suspendue
        archivé, supprimé
        falso, inactivo, inactiva, no activo, desactivado, desactivada, deshabilitado
        deshabilitada, bloqueado, bloqueada, suspendido, suspendida, archivado, eliminado
        baja, de baja, dado de baja, dada de baja
        não, inativo, inativa, não ativo, desativado, desativada, desabilitado, desabilitada
        suspenso, suspensa, arquivado, excluído
        onwaar, nee, inactief, niet actief, gedeactiveerd, uitgeschakeld, geblokkeerd, verwijderd
        inattivo, inattiva, non attivo, non attiva, disattivato, disattivata, disabilitato
        disabilitata, sospeso, sospesa, bloccato, bloccata, archiviato, eliminata
        偽, いいえ, 無効, 非アクティブ, 停止, 停止中, 削除済み
    """,
    None: """
        invited, pending, staged, pending invite, pending invitation, pending activation
        invite sent, invitation sent, provisioned, not set, no data, nat
        eingeladen, ausstehend, invité, invitée, en attente, invitado, invitada, pendiente
        convidado, convidada, pendente, uitgenodigd, in behandeling, invitato, invitata, in attesa
        招待中, 招待済み, 保留, 保留中
    """,
}
"""Yes, no, or neither, in the languages of headings."""


YES = (
    *("true", "yes", "y", "1", "1.0", "x", "✓", "✔", "✅", "☑", "○", "◯", "●"),
    *("wahr", "ja", "vrai", "oui", "sí", "si", "sim", "sì", "はい"),
)
NO = (
    *("false", "no", "n", "0", "0.0", "✗", "✘", "❌", "☒", "☐"),
    *("falsch", "nein", "faux", "non", "não", "nao", "nee", "いいえ"),
)
"""The marks in a column that says yes or no to its own heading, in lower case."""


def without_accents(word: str) -> str:
    """The word as DuckDB's `strip_accents` gives it."""
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")


@cache
def activity_words(activity: bool | None) -> tuple[str, ...]:
    """The words of one meaning, without accents."""
    return tuple(re.split(r"\s*[,\n]\s*", without_accents(ACTIVITY_WORDS[activity]).strip()))


def activity(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Yes, no, or NULL for any other text."""
    word = _word(text)
    return case(
        *((is_word(word, activity_words(value)), sa.literal(value)) for value in (True, False))
    )


def is_known_to_be_unknown(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text says that there is neither a yes nor a no."""
    return is_word(_word(text), (*activity_words(None), *PLACEHOLDERS))


def _word(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """In lower case, without accents, and with spaces for separators between letters."""
    word = func.strip_accents(func.lower(text))
    return case(
        (func.regexp_matches(word, r"\w[\s_-]"), func.regexp_replace(word, r"[\s_-]+", " ", "g")),
        else_=word,
    )


def word_meaning(column: str, text: str) -> str:
    """What a text of a state or activity column means by itself: a state, or yes, no or unknown.

    Empty where Rollcall does not know it.
    """
    word = text.strip().lower()
    if column == "provisioning_state":
        spaced = re.sub(r"[\s_\-]+", " ", word)
        return next((name for name in STATE_NAMES if name.lower() == spaced), "")
    word = without_accents(word)
    word = re.sub(r"[\s_-]+", " ", word) if re.search(r"\w[\s_-]", word) else word
    meanings = {True: "yes", False: "no", None: "unknown"}
    found = (meanings[value] for value in meanings if word in activity_words(value))
    return next(found, "unknown" if word in PLACEHOLDERS else "")
