"""Why a snapshot file is refused whole. Each message is for the person who delivered the file."""

from __future__ import annotations


class SnapshotRejected(Exception):
    """A file that is not loaded, in no part; the store stays as it was."""


class UnknownSnapshot(SnapshotRejected):
    """Neither path nor arguments say which integration the file lists, or at which moment."""


class UnknownFormat(SnapshotRejected):
    """The file's name ends in no format that can be read."""


class UnreadableFile(SnapshotRejected):
    """The file is cut off, damaged or not what its name says."""


class TooLarge(SnapshotRejected):
    """Unpacked, the file is larger than any list of accounts: a decompression bomb, say."""


class NoUsernameColumn(SnapshotRejected):
    """No column holds the username in app, without which a row is no account."""


class InvalidMapping(SnapshotRejected):
    """The mapping of the integration cannot be understood."""


class NotAListOfAccounts(SnapshotRejected):
    """The file is well formed but lists no accounts: an error body, say."""


class NoAccounts(SnapshotRejected):
    """An empty list where the snapshot before was not empty: more likely a fault than an exodus."""


class MostlyRejected(SnapshotRejected):
    """More than half of the rows would be rejected: the file is probably not what it seems."""


class OtherContentLoaded(SnapshotRejected):
    """Another file is loaded for the same integration and moment."""


class OnHold(SnapshotRejected):
    """So many accounts would leave at once that a person has to confirm the file first."""
