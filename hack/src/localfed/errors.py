"""What goes wrong, in whole sentences that name the remedy."""


class LocalfedError(Exception):
    """Something the user can mend; its text is one plain sentence."""


class Unsupported(LocalfedError):
    """An operation this provider's clusters cannot do."""


class ServerDied(LocalfedError):
    """A server ended while it was waited for; the text holds the end of its log."""
