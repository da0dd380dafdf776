"""The reference: a FastAPI route that takes a pydantic body and returns it, and nothing else."""

import os
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from shared.embedded.launch import die_with_parent
from shared.web.server import server_config

app = FastAPI()


class Echo(BaseModel):
    holder: str
    amount_fen: int


@app.post("/echo")
async def echo(body: Echo) -> Echo:
    return body


def main() -> None:
    """Serve on a free port, printed on stdout, until SIGTERM, with the services' own settings."""
    die_with_parent(signal.SIGTERM, os.getppid())
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(server_config(app)).run(sockets=[listener])


if __name__ == "__main__":
    main()
