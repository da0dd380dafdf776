"""What a service may answer instead of what was asked for.

    AppError
    ├── Refusal                    4xx: this request is not granted as it stands
    │   ├── InvalidRequest         422 invalid_request
    │   ├── Unauthenticated        401 unauthenticated
    │   ├── Forbidden              403 forbidden
    │   ├── SamePerson             403 same_person
    │   ├── NotFound               404 not_found
    │   ├── MethodNotAllowed       405 method_not_allowed
    │   ├── PayloadTooLarge        413 payload_too_large
    │   ├── UnsupportedMediaType   415 unsupported_media_type
    │   ├── HeadersTooLarge        431 headers_too_large
    │   ├── IdempotencyKeyReused   422 idempotency_key_reused
    │   └── InProgress             409 in_progress
    └── Failure                    5xx: the request may be sound, we are not
        ├── Busy                   503 busy
        ├── Overloaded             503 overloaded
        ├── Unavailable            503 unavailable
        └── Internal               500 internal

A class states its code, status and title once; services subclass Refusal and Failure beside the
use cases that raise them. What the client reads is made in `shared.web.problems`.
"""

from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


class AppError(Exception):
    """One problem a client is told about.

    `code` is stable and part of the contract; `title` is the same sentence every time; `detail`
    speaks of this occurrence and must not hold secrets or another person's data; `extra` are
    further members of the problem; `retry_after_ms` is when a retry has a chance.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        detail: str | None = None,
        *,
        extra: Mapping[str, Json] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.extra: Mapping[str, Json] = extra or {}
        self.retry_after_ms = retry_after_ms


class Refusal(AppError):  # noqa: N818 - named as the client is told, like every class below it
    """The request is not granted; sending it again unchanged gives the same unless retryable."""


class Failure(AppError):  # noqa: N818 - likewise
    """We could not serve the request, through no fault of the client."""


class InvalidRequest(Refusal):
    code = "invalid_request"
    status = 422
    title = "The request is malformed."

    @classmethod
    def at(cls, *loc: str | int, msg: str) -> Self:
        """Return the refusal that names one offending input, as in `at("body", "quota", msg=…)`."""
        return cls(extra={"fields": [{"loc": [*loc], "msg": msg}]})


class Unauthenticated(Refusal):
    code = "unauthenticated"
    status = 401
    title = "A valid bearer token is needed."
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Refusal):
    code = "forbidden"
    status = 403
    title = "The token does not allow this."


class SamePerson(Refusal):
    code = "same_person"
    status = 403
    title = "Who asked for this does not approve it: it needs a second person."


class NotFound(Refusal):
    code = "not_found"
    status = 404
    title = "There is no such thing."


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    status = 405
    title = "This path does not know this method."


class PayloadTooLarge(Refusal):
    code = "payload_too_large"
    status = 413
    title = "The request body is too large."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    status = 415
    title = "The request body must be application/json."


class HeadersTooLarge(Refusal):
    code = "headers_too_large"
    status = 431
    title = "The request headers are too large."


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"
    status = 422
    title = "This idempotency key was used for a different request."


class InProgress(Refusal):
    code = "in_progress"
    status = 409
    title = "The first request with this idempotency key is still being served."
    retryable = True


class Busy(Failure):
    code = "busy"
    status = 503
    title = "Nothing is decided yet; ask again in a moment."
    retryable = True


class Overloaded(Failure):
    code = "overloaded"
    status = 503
    title = "There are more requests than can be served; try again shortly."
    retryable = True


class Unavailable(Failure):
    code = "unavailable"
    status = 503
    title = "Something this service depends on is away; try again shortly."
    retryable = True


class Internal(Failure):
    code = "internal"
    status = 500
    title = "Something went wrong on our side."
