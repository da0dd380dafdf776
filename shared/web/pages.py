"""Lists: a page of items and an opaque cursor to the next."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.errors import InvalidRequest

PAGE_LIMIT_MAX = 500
_PAGE_LIMIT_DEFAULT = 50
_CURSOR_LENGTH_MAX = 512

T = TypeVar("T")
P = TypeVar("P")


class Page(BaseModel, Generic[T]):
    """`next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None


class PageRequest(BaseModel):
    """The query of every list; use it as `page: PageQuery`."""

    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX)] = _PAGE_LIMIT_DEFAULT
    cursor: Annotated[str | None, Query(max_length=_CURSOR_LENGTH_MAX)] = None


PageQuery = Annotated[PageRequest, Query()]


class Cursor(Generic[P]):
    """The codec of one list's cursor: the sort key of the last item shown.

    A cursor is checked but not signed, so it must never widen what the query may see.
    """

    def __init__(self, position: type[P]) -> None:
        self._adapter: TypeAdapter[P] = TypeAdapter(position)

    def encode(self, position: P) -> str:
        return base64.urlsafe_b64encode(self._adapter.dump_json(position)).rstrip(b"=").decode()

    def decode(self, cursor: str | None) -> P | None:
        """Return the position, or None for the first page. Raises InvalidRequest if tampered."""
        if cursor is None:
            return None
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            return self._adapter.validate_json(base64.b64decode(padded, b"-_", validate=True))
        except (UnicodeEncodeError, binascii.Error, ValidationError) as error:
            raise InvalidRequest.at("query", "cursor", msg="not a cursor of this list") from error
