"""Why a snapshot file is refused whole. Each message is for the person who delivered the file."""

from __future__ import annotations


class SnapshotRefused(Exception):
    """A file that is not loaded, in no part; the store stays as it was."""


class NotPlaced(SnapshotRefused):
    """Neither path nor arguments say which integration the file lists, or at which moment."""


class UnknownFormat(SnapshotRefused):
    """The file's name ends in no format that can be read."""


class UnreadableFile(SnapshotRefused):
    """The file is cut off, damaged or not what its name says."""


class TooLarge(SnapshotRefused):
    """Unpacked, the file is larger than any list of accounts: a decompression bomb, say."""


class NoUsableHeader(SnapshotRefused):
    """No column holds the username in app, without which a row is no account."""


class NotMapped(SnapshotRefused):
    """The mapping of the integration cannot be understood."""


class NotAListOfAccounts(SnapshotRefused):
    """The file is well formed but lists no accounts: an error body, say."""


class NoAccounts(SnapshotRefused):
    """An empty list where the snapshot before was not empty: more likely a fault than an exodus."""


class MostlyRejected(SnapshotRefused):
    """More than half of the rows would be rejected: the file is probably not what it seems."""


class OtherContentKnown(SnapshotRefused):
    """Another file is loaded for the same integration and moment."""


class Held(SnapshotRefused):
    """So many accounts would leave at once that a person has to confirm the file first."""
