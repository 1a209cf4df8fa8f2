"""What goes wrong, in whole sentences that name the remedy."""


class LocalfedError(Exception):
    """Something the user can mend; its text is one plain sentence."""


class Unsupported(LocalfedError):  # noqa: N818 - reads as what it says: the provider does not support this
    """An operation this provider's clusters cannot do."""


class ServerDied(LocalfedError):  # noqa: N818 - an event of a server, named after it
    """A server ended while it was waited for; the text holds the end of its log."""
