"""Where the live table goes: a terminal gets it redrawn, anything else gets a line for every change."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from demo import table
from demo.board import Board, Row


class Screen:
    """Shows the board while the block lasts."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console = console
        self._board = board
        self._live: Live | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = self._stack.enter_context(Live(console=self._console, auto_refresh=False, transient=False))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def changed(self, row: Row, elapsed_s: float) -> None:
        """A row changed."""
        if self._live is None:
            self._console.print(table.line(row, elapsed_s), markup=False, highlight=False, soft_wrap=True)

    def refresh(self, elapsed_s: float) -> None:
        """Draw the board anew."""
        if self._live is not None:
            self._live.update(table.live(self._board, elapsed_s, self._console.height), refresh=True)
