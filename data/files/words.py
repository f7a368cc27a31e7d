"""The words that values of other products' files are made of, in several languages.

All are in lower case. Languages: English, German, French, Spanish, Portuguese, Japanese.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())


TRUTH_WORDS = _words("""
    true, false, yes, no, y, n, t, f, on, off
    wahr, falsch, ja, nein
    vrai, faux, oui, non
    verdadero, falso, sí, si
    verdadeiro, sim, não, nao
    はい, いいえ
    x, ✓, ✔, ✗, ✘, ×
""")
"""Yes and no. Digits are not among them, as an ID can be 1, too."""

ACTIVE_WORDS = _words("""
    true, yes, 1, 1.0, y, t, on, active, enabled, activated, current, provisioned
    wahr, ja, aktiv, aktiviert
    vrai, oui, actif, active, activé, activée
    verdadero, sí, si, activo, activa, activado, habilitado
    verdadeiro, sim, ativo, ativa, ativado
    はい, 有効, アクティブ
    x, ✓, ✔
""")
INACTIVE_WORDS = _words("""
    false, no, 0, 0.0, n, f, off, inactive, not active, disabled, deactivated, suspended, locked
    locked out, blocked, banned, archived, revoked, expired, terminated, deprovisioned, deleted
    removed, closed, offboarded
    falsch, nein, inaktiv, deaktiviert, gesperrt, archiviert, gelöscht, beendet, abgelaufen
    faux, non, inactif, inactive, désactivé, désactivée, suspendu, bloqué, archivé, supprimé
    falso, inactivo, inactiva, desactivado, deshabilitado, suspendido, bloqueado, archivado
    eliminado
    não, nao, inativo, inativa, desativado, suspenso, arquivado, excluído
    いいえ, 無効, 停止, 停止中, 削除済み
    ✗, ✘, ×
""")
UNDECIDED_WORDS = _words("""
    invited, pending, invitation sent, pending activation, pending invitation, staged
    eingeladen, ausstehend, invité, en attente, invitado, pendiente, convidado, pendente
    招待中, 招待済み, 保留
""")
"""Words of an account's status that say neither."""

ACCOUNT_STATUS_WORDS = frozenset((*ACTIVE_WORDS, *INACTIVE_WORDS, *UNDECIDED_WORDS))

PLACEHOLDERS = frozenset(
    ("n/a", "#n/a", "na", "nan", "nat", "null", "(null)", "none", "nil", "-", "--", "–", "?")
)
"""Texts that stand for nothing where a column has no use for them."""
