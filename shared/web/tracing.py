"""Who a request says it is: the ids that tie its logs, metrics and problems together."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from uuid import uuid4

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class RequestIdentity(NamedTuple):
    """`traceparent` is the W3C trace context of the caller, or None where it is absent or bad."""

    request_id: str
    traceparent: str | None

    def logged(self) -> dict[str, str]:
        """Return what every log line of the request carries."""
        ids = {"request_id": self.request_id}
        if self.traceparent:
            ids["trace_id"] = self.traceparent[3:35]
        return ids

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the response headers that give the ids back to the caller."""
        headers = [(b"x-request-id", self.request_id.encode())]
        if self.traceparent:
            headers.append((b"traceparent", self.traceparent.encode()))
        return headers


def identify(headers: Iterable[tuple[bytes, bytes]]) -> RequestIdentity:
    """Take the ids from ASGI headers, with a fresh request id where none is sane."""
    request_id = traceparent = None
    for name, value in headers:
        if name == b"x-request-id" and _SANE_REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            traceparent = value.decode()
    return RequestIdentity(request_id or uuid4().hex, traceparent)
