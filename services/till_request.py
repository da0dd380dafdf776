"""One signed request, as a till sends it: for whoever builds a till and wants to try."""

import base64
import binascii
import shlex
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from shared.request_signing import Message, sign

_SECRET_BYTES = 32
_TIMEOUT_S = 30
_ANSWER_BYTES_MAX = 1024 * 1024
_NS_PER_S = 1_000_000_000


class TillRequestError(Exception):
    """A request cannot be signed or sent; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class TillRequest:
    """What to send, and the terminal that sends it. `secret` is base64url, as it was shown."""

    method: str
    url: str
    key_id: str
    secret: str
    body: bytes = b""


def read_body(given: str | None) -> bytes:
    """Return the body that an argument means: itself, @FILE, or - for the standard input."""
    if given is None:
        return b""
    if given == "-":
        return sys.stdin.buffer.read()
    if given.startswith("@"):
        return Path(given[1:]).read_bytes()
    return given.encode()


def signed_headers(request: TillRequest, *, now_s: float) -> dict[str, str]:
    """Return every header that the request needs; `now_s` is real seconds since the epoch.

    Raises:
        TillRequestError: the secret or the URL is not in its form.
    """
    if not request.url.isascii():
        raise TillRequestError("Percent-encode the URL: a signature covers ASCII alone.")
    target = urlsplit(request.url)
    if target.scheme not in {"http", "https"} or not target.netloc or target.fragment:
        raise TillRequestError(f"{request.url} is not of the form http://host:port/path?query")
    message = Message(
        request.method,
        (target.path or "/").encode(),
        target.query.encode(),
        body=request.body,
    )
    try:
        signed = sign(message, key_id=request.key_id, secret=_key(request.secret), now_s=now_s)
    except ValueError as error:
        raise TillRequestError(f"This cannot be signed: {error}") from error
    content = {"content-type": "application/json"} if request.body else {}
    return {**content, **signed}


def curl_command(request: TillRequest) -> str:
    """Return the request as a curl command that is good for five minutes.

    Raises:
        TillRequestError: it cannot be signed.
    """
    headers = signed_headers(request, now_s=time.time_ns() / _NS_PER_S)
    # What was signed must leave as it is: no globbing, and no tidying of the path.
    words = ["curl", "--globoff", "--path-as-is", "--request", request.method, request.url]
    for name, value in headers.items():
        words += ["--header", f"{name}: {value}"]
    if request.body:
        words += ["--data-binary", request.body.decode(errors="surrogateescape")]
    return shlex.join(words)


async def send(request: TillRequest) -> bool:
    """Send the request and print the answer: its status to stderr, its body to stdout.

    Returns whether it was served. Raises TillRequestError when there was no answer.
    """
    headers = signed_headers(request, now_s=time.time_ns() / _NS_PER_S)
    # As it was signed: nothing is quoted anew, and no redirect is followed.
    url = URL(request.url, encoded=True)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as http,
            http.request(
                request.method,
                url,
                data=request.body or None,
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            body = await answer.content.read(_ANSWER_BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TillRequestError(f"{request.url} gave no answer: {error or error!r}") from error
    sys.stderr.write(f"{answer.status} {answer.reason}\n")
    sys.stdout.write(body.decode(errors="replace") + "\n")
    return answer.status < HTTPStatus.BAD_REQUEST


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(
            secret.encode("ascii") + b"=" * (-len(secret) % 4), b"-_", validate=True
        )
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("the secret is not base64url") from error
    if len(key) != _SECRET_BYTES:
        raise ValueError(f"the secret holds {len(key)} bytes instead of {_SECRET_BYTES}")
    return key
