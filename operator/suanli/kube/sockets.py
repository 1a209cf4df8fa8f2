"""The sockets of one client, so that none of them outlives it."""

import asyncio
import contextlib
import socket
from weakref import WeakSet

from aiohttp import AddrInfoType

CLOSE_MS = 1_000  # connections that were cut have so long to be given back


class Sockets:
    """Makes the sockets of connections, and cuts those that are left.

    An HTTP client that is closed leaves connections open for as long as TLS waits for the other side's goodbye: half a
    minute, and beyond the end of the loop.
    """

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def make(self, address: AddrInfoType) -> socket.socket:
        """A socket that can be connected to the address."""
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        return made

    async def cut(self) -> None:
        """End all their connections at once, and wait until these are given back."""
        left = [each for each in self._made if each.fileno() >= 0]
        for each in left:
            with contextlib.suppress(OSError):  # not connected yet, or not any more
                each.shutdown(socket.SHUT_RDWR)
        for _ in range(CLOSE_MS):
            if all(each.fileno() < 0 for each in left):
                break
            await asyncio.sleep(0.001)
