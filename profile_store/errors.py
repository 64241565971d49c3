"""What can go wrong between a process and the profile store."""


class ProfileStoreError(Exception):
    """Root of this package's errors."""


class StoreUnavailableError(ProfileStoreError):
    """Redis did not answer within the time allowed; the message names server, time and last error."""


class StoreRefusedError(ProfileStoreError):
    """Redis answered with an error that waiting does not cure (wrong type, no permission, a broken script)."""


class StoreDeniedError(StoreRefusedError):
    """The Redis user of this process may not read or write what it asked for; the message says what it has to be given."""


class StoreChangedError(ProfileStoreError):
    """Redis is another one than before, or has lost what was written to it: what it lacks has to be written again."""


class IdentifierError(ProfileStoreError, ValueError):
    """An identifier is not `namespace:value`, or its value identifies nobody."""
