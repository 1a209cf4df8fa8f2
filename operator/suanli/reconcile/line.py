"""A line of keys that wait for their turn."""

from collections import deque

TURNS = 8  # the last of so many is not for urgent keys, if others wait


class Line:
    """Keys in the order of their coming, each once. Urgent ones go first, but every eighth turn is the others'."""

    def __init__(self) -> None:
        self._urgent: deque[str] = deque()
        self._other: deque[str] = deque()  # may name keys that have become urgent, or were taken since
        self._waiting: dict[str, bool] = {}  # whether it is urgent
        self._turn = 0

    def add(self, key: str, *, urgent: bool = False) -> bool:
        """Have the key wait; whether it did not yet. One that waits already may become urgent."""
        is_new = key not in self._waiting
        if is_new or (urgent and not self._waiting[key]):
            self._waiting[key] = urgent
            (self._urgent if urgent else self._other).append(key)
        return is_new

    def take(self) -> str:
        """The key whose turn it is. Raises: IndexError when none waits."""
        self._turn += 1
        turn_of_others = self._turn % TURNS == 0
        for urgent in (False, True) if turn_of_others else (True, False):
            line = self._urgent if urgent else self._other
            while line:
                key = line.popleft()
                if self._waiting.get(key) is urgent:
                    del self._waiting[key]
                    return key
        raise IndexError("nothing waits")

    def __len__(self) -> int:
        return len(self._waiting)
