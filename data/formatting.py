"""How moments and counts are written as text.

Every moment in Rollcall is naive UTC; text names the zone.
"""

from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"


def utc_now() -> datetime:
    """The current moment, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso_z(moment: datetime, timespec: str = "seconds") -> str:
    """A naive UTC moment as ISO 8601, e.g. `2026-11-23T06:00:00Z`."""
    return f"{moment.isoformat(timespec=timespec)}Z"


def file_stamp(moment: datetime) -> str:
    """A naive UTC moment as file names have it, e.g. `2026-11-23T06-00-00Z`."""
    return f"{moment:%Y-%m-%dT%H-%M-%SZ}"


def plural(count: float, noun: str, plural_noun: str = "") -> str:
    """The noun as the count wants it: `account`, `accounts`."""
    return noun if count == 1 else plural_noun or f"{noun}s"


def count_of(count: float, noun: str, plural_noun: str = "") -> str:
    """A count with its noun: `1 account`, `2,000 accounts`."""
    return f"{count:,.0f} {plural(count, noun, plural_noun)}"


def capitalize_first(text: str) -> str:
    """The text with a capital letter first, and the rest as it is."""
    return text[:1].upper() + text[1:]


def signed(change: float, text: str = "") -> str:
    """A change with its sign, `±0` for none; `text` can stand for its amount."""
    if not change:
        return "±0"
    return f"{'+' if change > 0 else MINUS}{text or f'{abs(change):,.0f}'}"


def format_span(seconds: float, *, units: int = 2) -> str:
    """A time span in its largest units: `26 min`, `5 h 26 min`, `2 days 4 h`, `59 days`."""
    minutes = round(seconds / 60)
    days = minutes / 1440
    if minutes < 60:
        return f"{minutes} min"
    if days >= 10:
        return f"{days:,.0f} days"
    amounts = (
        [(minutes // 60, "h"), (minutes % 60, "min")]
        if days < 2
        else [(int(days), "days"), (minutes % 1440 // 60, "h")]
    )
    return " ".join(f"{amount} {unit}" for amount, unit in amounts[:units] if amount)


def first_of(sentences: list[str], most: int) -> list[str]:
    """As many of the sentences; for more, a last one gives their number."""
    remaining = len(sentences) - most
    return [*sentences[:most], f"And {remaining:,} more."] if remaining > 0 else sentences
