"""How fast attempts leave silent and draining sites: at most so many in any minute, of one site and of all together."""

from collections import defaultdict, deque

MINUTE_S = 60.0


class Pace:
    """Remembers the last minute. Times are seconds of a clock that does not jump; a new leader begins anew."""

    def __init__(self, *, of_site: int, of_all: int) -> None:
        """Most in a minute."""
        self._of_site, self._of_all = of_site, of_all
        self._all: deque[float] = deque()
        self._sites: dict[str, deque[float]] = defaultdict(deque)

    def left_s(self, site: str, now_s: float) -> float:
        """Seconds until one may leave the site; 0 for now."""
        return max(_left_s(self._sites[site], self._of_site, now_s), _left_s(self._all, self._of_all, now_s))

    def take(self, site: str, now_s: float) -> float:
        """0 when one may leave the site now, and that counts; else the seconds until one may."""
        left_s = self.left_s(site, now_s)
        if left_s == 0:
            self._sites[site].append(now_s)
            self._all.append(now_s)
        return left_s


def _left_s(taken: deque[float], most: int, now_s: float) -> float:
    while taken and taken[0] + MINUTE_S <= now_s:
        taken.popleft()
    return taken[0] + MINUTE_S - now_s if len(taken) >= most else 0.0
