"""Why a whole snapshot file is rejected. Each message is for the person who delivered the file."""


class SnapshotRejected(Exception):
    """No part of the file is loaded; the store stays as it was."""


class UnknownSnapshot(SnapshotRejected):
    """Neither the path nor the arguments say which integration the file lists, or when."""


class UnknownFormat(SnapshotRejected):
    """The ending of the file's name belongs to no supported format."""


class UnreadableFile(SnapshotRejected):
    """The file is cut off, damaged, or not what its name says."""


class TooLarge(SnapshotRejected):
    """The file unpacks to more than a list of accounts does, like a decompression bomb."""


class NoUsernameColumn(SnapshotRejected):
    """No column holds the username in app; a row without one is not an account."""


class InvalidMapping(SnapshotRejected):
    """The mapping of the integration is not valid."""


class NotAListOfAccounts(SnapshotRejected):
    """The file is well formed but lists no accounts, like an error body."""


class NoAccounts(SnapshotRejected):
    """The list is empty and the previous snapshot is not: more likely a failed export."""


class MostlyRejected(SnapshotRejected):
    """More than half of the rows would be rejected, so the file is probably something else."""


class MangledIds(SnapshotRejected):
    """A spreadsheet has rounded long IDs; two accounts could have become one."""


class OtherContentLoaded(SnapshotRejected):
    """Another file is loaded for the same integration and time."""


class OnHold(SnapshotRejected):
    """A person has to confirm the file: it is incomplete, or removes too many accounts at once."""
