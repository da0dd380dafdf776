"""Starts the embedded servers on the data dir given, says so on stdout, and waits to be killed."""

import asyncio
import json
import sys
from pathlib import Path

from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers


async def _run(data: DataDir) -> None:
    data.prepare()
    with data.lock():
        servers = EmbeddedServers(data)
        await servers.start()
        started = {
            "postgres": servers.postgres.pid,
            "valkey": servers.valkey.pid,
            "postgres_url": servers.postgres_url,
            "redis_url": servers.redis_url,
        }
        sys.stdout.write(json.dumps(started) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await servers.stop()


asyncio.run(_run(DataDir(Path(sys.argv[1]))))
