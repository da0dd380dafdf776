"""`fairdrop till`: the request that leaves is one that the redeem service takes."""

import asyncio
import json
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from typer.testing import CliRunner, Result

from services import cli
from services.redeem.signatures import SignatureFault, parse_signature, verify
from services.till_request import TillRequest, curl_command
from shared.ids import new_id
from shared.request_signing import Message
from shared.secrets import Secrets
from shared.terminal_keys import TerminalKeys, new_key_id

KEYS = TerminalKeys(Secrets(b"t" * 32))
KEY_ID = new_key_id(new_id(1))
SECRET = KEYS.text(KEY_ID)
REFUSED = "/v1/refused"


def _judge(message: Message) -> str:
    """Return what the redeem service would think of a request's signature."""
    signed = parse_signature(message.headers)
    if isinstance(signed, SignatureFault):
        return signed.name
    fault = verify(signed, message, key=KEYS.secret(signed.key_id), now_s=time.time_ns() / 1e9)
    return fault.name if fault else f"signed by {signed.key_id}"


async def _answer(request: web.Request) -> web.Response:
    path, _, query = request.raw_path.partition("?")
    body = await request.read()
    headers = [(name.lower(), value) for name, value in request.raw_headers]
    message = Message(request.method, path.encode(), query.encode(), headers, body)
    told = {"judged": _judge(message), "body": body.decode(), "path": request.raw_path}
    return web.json_response(told, status=422 if path == REFUSED else 200)


@pytest_asyncio.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """A server that says what it thinks of the signatures it is sent."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _till(
    *arguments: str, stdin: bytes | None = None, environ: Mapping[str, str] | None = None
) -> Result:
    """Run the command in a thread: what it asks is answered by this one."""
    named = {"FAIRDROP_TILL_KEY_ID": KEY_ID, "FAIRDROP_TILL_SECRET": SECRET, **(environ or {})}
    done = await asyncio.to_thread(
        CliRunner(env=named).invoke, cli.app, ["till", *arguments], input=stdin
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/redemptions", '{"order_no": "面条 1", "capture": true}'),
        ("get", "/v1/redemptions?request_no=a%2Fb&x=%7B%7D", ""),
        ("GET", "/v1/%e9%9d%a2/../a[1]?", ""),
        ("POST", "", "{}"),
    ],
)
async def test_what_is_sent_is_signed(url: str, method: str, path: str, body: str) -> None:
    with_body = ("--body", body) if body else ()
    done = await _till(method, f"{url}{path}", *with_body)
    assert (done.exit_code, done.stderr) == (0, "200 OK\n")
    told = json.loads(done.stdout)
    assert told == {
        "judged": f"signed by {KEY_ID}",
        "body": body,
        "path": (path or "/").removesuffix("?"),
    }


async def test_a_body_from_elsewhere(url: str, tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"n": 1}\n')
    for given, stdin in ((f"@{file}", b""), ("-", b'{"n": 1}\n')):
        done = await _till("POST", url, "--body", given, stdin=stdin)
        assert json.loads(done.stdout)["body"] == '{"n": 1}\n'


async def test_a_refusal_is_shown_and_is_the_exit_code(url: str) -> None:
    done = await _till("POST", f"{url}{REFUSED}", "--body", "{}")
    assert (done.exit_code, done.stderr) == (1, "422 Unprocessable Entity\n")
    assert json.loads(done.stdout)["judged"] == f"signed by {KEY_ID}"
    keyed = ("--key-id", KEY_ID, "--secret", KEYS.text(new_key_id(new_id(1))))
    done = await _till("GET", url, *keyed)
    assert json.loads(done.stdout)["judged"] == "WRONG_SIGNATURE"


@pytest.mark.parametrize(
    ("url", "changed", "told"),
    [
        ("http://127.0.0.1:9/", {}, "gave no answer"),
        ("127.0.0.1:8002/v1", {}, "is not of the form"),
        ("ftp://127.0.0.1/v1", {}, "is not of the form"),
        ("http://127.0.0.1/#part", {}, "is not of the form"),
        ("http://127.0.0.1/é", {}, "Percent-encode"),
        ("http://127.0.0.1/", {"FAIRDROP_TILL_SECRET": SECRET[:-1]}, "31 bytes instead of 32"),
        ("http://127.0.0.1/", {"FAIRDROP_TILL_SECRET": "no!"}, "not base64url"),
        ("http://127.0.0.1/", {"FAIRDROP_TILL_SECRET": "é"}, "not base64url"),
        ("http://127.0.0.1/", {"FAIRDROP_TILL_KEY_ID": 'a"b'}, "without quotes"),
    ],
)
async def test_what_can_be_mended_is_said_in_one_line(
    url: str, changed: Mapping[str, str], told: str
) -> None:
    done = await _till("GET", url, environ=changed)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("fairdrop: ")
    assert told in done.stderr


async def test_a_file_that_is_not_there() -> None:
    done = await _till("POST", "http://127.0.0.1/", "--body", "@/no/such")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "/no/such" in done.stderr


def test_the_curl_command_carries_the_signature() -> None:
    """What curl would send, read from its own arguments."""
    url = "http://127.0.0.1:8002/v1/quotes?a=1"
    body = '{"code": "it\'s $one", "面": [1]}'
    words = shlex.split(curl_command(TillRequest("POST", url, KEY_ID, SECRET, body.encode())))
    assert words[0] == "curl"
    assert words[words.index("--request") + 1 :][:2] == ["POST", url]
    assert words[words.index("--data-binary") + 1] == body
    named = [words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "--header"]
    headers = [(name.encode(), value.encode()) for name, value in named]
    assert (b"content-type", b"application/json") in headers
    target = urlsplit(url)
    message = Message("POST", target.path.encode(), target.query.encode(), headers, body.encode())
    assert _judge(message) == f"signed by {KEY_ID}"
