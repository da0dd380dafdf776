"""Pages of what the queries found."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from shared.web.pages import Page

_T = TypeVar("_T")


def page_of(found: Sequence[_T], limit: int, cursor_after: Callable[[_T], str]) -> Page[_T]:
    """Show `limit` items; one more was asked for, to know whether another page follows."""
    more = len(found) > limit
    return Page(
        items=list(found[:limit]), next_cursor=cursor_after(found[limit - 1]) if more else None
    )
