"""Telling how far the demo is: bars on a terminal, plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S = 2.0
_REDRAWN_PER_S = 5
_TITLE_WIDTH = 14
_BAR_WIDTH = 12
_FILE_WIDTH = 132

Tell = Callable[[int, str], None]
"""Takes how much is done and what there is to say about it."""


class Stage:
    """Where the demo is watched."""

    def __init__(self, console: Console) -> None:
        self.console = console
        if not console.is_terminal:
            # A file has no width; one that fits the tables is easier to read than 80 columns.
            console.width = max(console.width, _FILE_WIDTH)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, title: str, text: str) -> None:
        self.say(f"{title:<{_TITLE_WIDTH}} {text}")

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Tell]:
        """Show one step's progress while the block runs; what was told last stays to be read."""
        if self.console.is_terminal:
            with self._drawn(title, total) as tell:
                yield tell
        else:
            with self._lined(title, total) as tell:
                yield tell

    @contextmanager
    def _drawn(self, title: str, total: int) -> Iterator[Tell]:
        progress = Progress(
            TextColumn(f"{title:<{_TITLE_WIDTH}}"),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            refresh_per_second=_REDRAWN_PER_S,
        )
        with progress:
            task = progress.add_task("", total=total, note="")
            yield lambda done, note: progress.update(task, completed=done, note=note)

    @contextmanager
    def _lined(self, title: str, total: int) -> Iterator[Tell]:
        last = f"0 of {total:,}"
        told = last
        next_line_s = time.monotonic() + _LINE_EVERY_S

        def tell(_done: int, note: str) -> None:
            nonlocal last, told, next_line_s
            last = note
            if time.monotonic() >= next_line_s:
                told = last
                next_line_s = time.monotonic() + _LINE_EVERY_S
                self.step(title, told)

        yield tell
        if last != told:
            self.step(title, last)
