"""The linear relaxation by HiGHS: no plan costs less."""

from functools import partial

from bench.peers.answer import serve
from bench.peers.highs import solve

if __name__ == "__main__":
    serve(partial(solve, whole=False))
