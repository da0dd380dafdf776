"""A real Chromium to look at a page with: what it says in its console, and whom it asks for more.

Driven over the Chrome DevTools protocol, whose port is open to this machine alone.
"""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import aiohttp

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_INSTALL = (
    ("apt-get", "update", "-qq"),
    ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-noto-cjk"),
)
_INSTALL_WITHIN_S = 240
_STARTS_WITHIN_S = 30
_ANSWERS_WITHIN_S = 20
_STOPS_WITHIN_S = 5
_POLL_S = 0.05
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_OF_THE_PAGE_ITSELF = ("file:", "data:", "about:")
_BAD_CONSOLE_CALLS = {"error", "assert", "warning"}
_BAD_LOG_LEVELS = {"error", "warning"}
# Chromium's own errands are none of the page's.
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-address=127.0.0.1",
    "--remote-debugging-port=0",
)


@dataclass(frozen=True, slots=True)
class View:
    """The window in which a page is opened."""

    width: int = 1280
    height: int = 900
    scheme: Literal["light", "dark"] = "light"
    runs_scripts: bool = True


@dataclass(slots=True)
class Heard:
    """What a page said that it should not have, and what it asked for outside, by request id."""

    complaints: list[str] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def outside(self) -> list[str]:
        """The addresses outside of the page that it asked for."""
        return list(self.asked.values())


class ChromiumMissingError(Exception):
    """There is no Chromium here; the message says why."""


def find_chromium() -> str:
    """Return Chromium's path; as root on Debian, install it first where it is missing.

    Raises:
        ChromiumMissingError: it is not there and cannot be installed.
    """
    if found := _on_path():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ChromiumMissingError("no Chromium on the PATH, and only root may apt-get it")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in _INSTALL:
        try:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                timeout=_INSTALL_WITHIN_S,
                env=environment,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise ChromiumMissingError(f"Chromium cannot be installed: {error}") from None
    if found := _on_path():
        return found
    raise ChromiumMissingError("Chromium was installed, but is not on the PATH")


def _on_path() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """One open page."""

    def __init__(self, browser: "Chromium", session_id: str) -> None:
        self._browser = browser
        self._session_id = session_id
        self.heard = browser.heard_by[session_id]

    async def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        return await self._browser.ask(method, parameters, self._session_id)

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page has
        """Return the value of an expression of the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def is_shown(self, selector: str) -> bool:
        """Return whether the first such element takes up any room; needs no script."""
        return await self._middle(selector) is not None

    async def click(self, selector: str) -> None:
        """Click on the first such element, with the mouse."""
        middle = await self._middle(selector)
        assert middle is not None, f"{selector} is not shown"
        at = {"x": middle[0], "y": middle[1], "button": "left", "clickCount": 1}
        for event in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=event, **at)

    async def _middle(self, selector: str) -> tuple[float, float] | None:
        root = (await self.ask("DOM.getDocument", depth=0))["root"]["nodeId"]
        node = (await self.ask("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        quads = (await self.ask("DOM.getContentQuads", nodeId=node))["quads"]
        return (mean(quads[0][0::2]), mean(quads[0][1::2])) if quads else None

    async def screenshot(self) -> bytes:
        """Return the whole page, however long, as a PNG."""
        answer = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


class Chromium:
    """A running browser. One task reads what it says; whoever asked waits for a future."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded: dict[str, asyncio.Event] = {}
        self._asked = 0
        self.heard_by: dict[str, Heard] = {}

    async def ask(
        self, method: str, parameters: dict[str, object], session_id: str | None = None
    ) -> dict[str, Any]:
        """Send a command and return its result. Raises TimeoutError if none comes."""
        self._asked += 1
        number = self._asked
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session_id is not None:
            message["sessionId"] = session_id
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            await self._socket.send_json(message)
            result: dict[str, Any] = await answer
        return result

    async def listen(self) -> None:
        """Read until the browser ends."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answer(told)
            elif told.get("sessionId") in self.heard_by:
                self._hear(told["sessionId"], told["method"], told["params"])

    def _answer(self, told: dict[str, Any]) -> None:
        answer = self._answers.pop(told["id"])
        if answer.done():
            return
        if "error" in told:
            answer.set_exception(RuntimeError(told["error"]["message"]))
        else:
            answer.set_result(told["result"])

    def _hear(self, session_id: str, method: str, told: dict[str, Any]) -> None:
        heard = self.heard_by[session_id]
        match method:
            case "Page.loadEventFired":
                self._loaded[session_id].set()
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                heard.complaints.append(details.get("exception", details).get("description", ""))
            case "Runtime.consoleAPICalled" if told["type"] in _BAD_CONSOLE_CALLS:
                said = (str(one.get("value", one.get("description"))) for one in told["args"])
                heard.complaints.append(" ".join(said))
            case "Log.entryAdded" if told["entry"]["level"] in _BAD_LOG_LEVELS:
                heard.complaints.append(told["entry"]["text"])
            case "Network.requestWillBeSent":
                if not told["request"]["url"].startswith(_OF_THE_PAGE_ITSELF):
                    heard.asked[told["requestId"]] = told["request"]["url"]
            case "Network.loadingFailed" if told.get("blockedReason") == "csp":
                # The page's own policy stopped it: nobody was asked.
                heard.asked.pop(told["requestId"], None)

    @asynccontextmanager
    async def opened(self, url: str, view: View) -> AsyncIterator[Page]:
        """Open a page, wait until it has loaded and been painted, and close it afterwards."""
        target = (await self.ask("Target.createTarget", {"url": "about:blank"}))["targetId"]
        attached = await self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        session_id = attached["sessionId"]
        self.heard_by[session_id] = Heard()
        self._loaded[session_id] = asyncio.Event()
        page = Page(self, session_id)
        for domain in ("Runtime", "Log", "Network", "Page"):
            await page.ask(f"{domain}.enable")
        size = {"width": view.width, "height": view.height}
        await page.ask(
            "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": view.scheme}
        await page.ask("Emulation.setEmulatedMedia", features=[scheme])
        await page.ask("Emulation.setScriptExecutionDisabled", value=not view.runs_scripts)
        # The blank page has loaded, too.
        self._loaded[session_id].clear()
        await page.ask("Page.navigate", url=url)
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            await self._loaded[session_id].wait()
        # A frame that was drawn proves that what loading set off has been set off.
        await page.ask("Page.captureScreenshot")
        yield page
        await self.ask("Target.closeTarget", {"targetId": target})


@asynccontextmanager
async def running_chromium(path: str, profile: Path) -> AsyncIterator[Chromium]:
    """Run a browser with an empty profile in this folder, and end it with its children."""
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        path,
        *_FLAGS,
        *sandbox,
        f"--user-data-dir={profile}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = await _debugging_url(process, profile / "DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=_MESSAGE_BYTES_MAX) as socket,
            asyncio.TaskGroup() as group,
        ):
            browser = Chromium(socket)
            listening = group.create_task(browser.listen())
            try:
                yield browser
            finally:
                listening.cancel()
    finally:
        await _end(process)


async def _debugging_url(process: asyncio.subprocess.Process, told: Path) -> str:
    async with asyncio.timeout(_STARTS_WITHIN_S):
        while True:
            assert process.returncode is None, f"Chromium ended with {process.returncode}"
            lines = _lines_of(told)
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(_POLL_S)


def _lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the browser's whole group, which began with this process: first kindly, then surely."""
    with suppress(ProcessLookupError, TimeoutError):
        os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(_STOPS_WITHIN_S):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
