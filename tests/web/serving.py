"""Runs the small app in a process and talks to it, politely and otherwise."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 10.0


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another process is about to do."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - tests look at answers of every shape
        return json.loads(self.body)

    def assert_problem(self, status: int, code: str) -> dict[str, Any]:
        """Check that this is a whole problem of the contract and return it."""
        assert (self.status, self.headers["content-type"]) == (status, "application/problem+json")
        problem: dict[str, Any] = self.json
        members = {"type", "title", "status", "detail", "code", "retryable", "request_id"}
        assert members <= problem.keys()
        assert (problem["status"], problem["code"]) == (status, code)
        assert problem["type"] == f"urn:fairdrop:problem:{code}"
        if "x-request-id" in self.headers:
            assert problem["request_id"] == self.headers["x-request-id"]
        return problem


@dataclass(frozen=True, slots=True)
class SmallServer:
    port: int
    data: Path
    log_file: Path

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def post_json(self, path: str, body: bytes) -> Answer:
        return self.call("POST", path, body, {"content-type": "application/json"})

    def send_raw(self, *parts: bytes) -> Answer | None:
        """Send bytes as they are; return the first answer, or None if the connection just ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                response = http.client.HTTPResponse(connection)
                response.begin()
                headers = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, headers, response.read())
            except (ConnectionError, http.client.HTTPException):
                return None

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def logged_for(self, request_id: str) -> list[dict[str, Any]]:
        """Return a request's log entries; the last one is written just after the answer left."""

        def entries() -> list[dict[str, Any]]:
            return [entry for entry in self.logged() if entry.get("request_id") == request_id]

        eventually(lambda: any(entry["event"] == "request" for entry in entries()))
        return entries()


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[SmallServer]:
    """Run the small app until the block ends; it must then drain and end."""
    log_file = folder / "log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.web.small_app"],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "SMALL_APP_DATA": str(folder), **environ},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            assert port, log_file.read_text()
            server = SmallServer(int(port), folder, log_file)
            # The socket listens before the app does; the first answer says that it serves.
            assert server.call("GET", "/livez").status == 200
            yield server
            process.send_signal(signal.SIGTERM)
            # uvicorn drains and then lets the signal end the process after all.
            assert process.wait(TIMEOUT_S) == -signal.SIGTERM, log_file.read_text()
            assert "Application shutdown complete." in log_file.read_text()
        finally:
            process.kill()
