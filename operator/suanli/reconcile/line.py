"""A line of keys that wait for their turn."""

from collections import OrderedDict, deque
from collections.abc import Callable

TURNS = 8  # the last of so many is not for urgent keys, if others wait


def _nobodys(_key: str) -> str:
    """All keys are alike."""
    return ""


class Line:
    """Keys, each once: those whose they are take turns, and of one the first to come is the first to go.

    Urgent keys go before others, but every eighth turn is the others'.
    """

    def __init__(self, whose: Callable[[str], str] = _nobodys) -> None:
        """`whose` names the tenant that a key is of: however many keys one has, the others' turns come as soon."""
        self._whose = whose
        self._urgent = _Turns()
        self._other = _Turns()  # may name keys that have become urgent, or were taken since
        self._waiting: dict[str, bool] = {}  # whether it is urgent
        self._turn = 0

    def add(self, key: str, *, urgent: bool = False) -> bool:
        """Have the key wait; whether it did not yet. One that waits already may become urgent."""
        is_new = key not in self._waiting
        if is_new or (urgent and not self._waiting[key]):
            self._waiting[key] = urgent
            (self._urgent if urgent else self._other).add(self._whose(key), key)
        return is_new

    def take(self) -> str:
        """The key whose turn it is. Raises: IndexError when none waits."""
        self._turn += 1
        turn_of_others = self._turn % TURNS == 0
        for urgent in (False, True) if turn_of_others else (True, False):
            turns = self._urgent if urgent else self._other
            while (key := turns.take()) is not None:
                if self._waiting.get(key) is urgent:
                    del self._waiting[key]
                    return key
        raise IndexError("nothing waits")

    def __len__(self) -> int:
        return len(self._waiting)


class _Turns:
    """Keys by whose they are, in the order of turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[str]] = OrderedDict()

    def add(self, whose: str, key: str) -> None:
        """At the end of the owner's own line."""
        self._lines.setdefault(whose, deque()).append(key)

    def take(self) -> str | None:
        """The first key of the owner whose turn it is; the owner's next turn comes after all others'."""
        if not self._lines:
            return None
        whose, line = next(iter(self._lines.items()))
        key = line.popleft()
        if line:
            self._lines.move_to_end(whose)
        else:
            del self._lines[whose]
        return key
