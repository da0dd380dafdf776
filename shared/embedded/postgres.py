"""The embedded Postgres: a cluster of the data dir, behind a unix socket and a password."""

import asyncio
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from urllib.parse import quote

import asyncpg

from shared.embedded.binaries import POSTGRES_MAJOR, Binaries
from shared.embedded.datadir import DataDir, write_private
from shared.embedded.errors import EmbeddedServerError, disk_full, refused_by_system
from shared.embedded.processes import ServerProcess
from shared.embedded.reachable import Place

OWNER = "fairdrop"
DATABASE = "fairdrop"
FREE_BYTES_MIN = 300 * 1024 * 1024
PORT = 5432  # names the socket; nothing listens on TCP

# Given on the command line, where they win over anything a configuration file says.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Every process of every service has pools of its own; four claim processes alone take 64.
    "max_connections": "200",
    "shared_buffers": "128MB",
    # A batch at the tills holds an advisory lock for each request and each kind of each claim.
    "max_locks_per_transaction": "256",
    "jit": "off",
    "max_wal_senders": "0",
    "logging_collector": "off",
    "log_destination": "stderr",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_INITDB_PATIENCE_S = 60.0
_ANSWER_PATIENCE_S = 120.0  # recovery after a crash replays up to max_wal_size
_ANSWER_POLL_S = 0.03
_CONNECT_PATIENCE_S = 5.0
_STOP_PATIENCE_S = 20.0
_START_ATTEMPTS_MAX = 60
_START_RETRY_S = 0.25
# What a new postmaster says while the last backends of a killed one are still ending.
_OCCUPIED = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


class EmbeddedPostgres:
    """One Postgres server; `url` stays the same over its restarts."""

    def __init__(self, data: DataDir, place: Place, binaries: Binaries, sockets: Path) -> None:
        self._data = data
        self._place = place
        self._binaries = binaries
        self._sockets = sockets
        self.running: ServerProcess | None = None
        self._tool: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        if self.running is None:
            raise RuntimeError("Postgres has not been started")
        return self.running

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """The owner's URL, for asyncpg, SQLAlchemy and psql alike."""
        # The port is named so that a PGPORT in the environment does not change it.
        sockets = quote(str(self._sockets), safe="/")
        return f"postgresql://{OWNER}:{self._password()}@/{DATABASE}?host={sockets}&port={PORT}"

    async def start(self) -> None:
        """Make the cluster on first use, start the server, return when it answers.

        Raises:
            EmbeddedServerError: it cannot; the message ends with the last lines of its log.
        """
        if not self._place.postgres.exists():
            try:
                await self._make_cluster()
            except OSError as error:
                raise refused_by_system(self._place.path, error) from error
        self._check_version()
        await self.restart()

    async def restart(self) -> None:
        """Start the server again on its cluster, recovering from whatever ended the last one.

        Raises:
            EmbeddedServerError: it does not come up.
        """
        for _ in range(_START_ATTEMPTS_MAX):
            self.running = self._spawn_server()
            if await self._answers():
                return
            await self.stop()
            if not any(sign in self.running.log_tail() for sign in _OCCUPIED):
                break
            await asyncio.sleep(_START_RETRY_S)
        raise self._failed("Postgres did not start", self.process)

    async def stop(self) -> None:
        """Shut down fast: connections are cut, a checkpoint is written."""
        if self._tool is not None:
            await self._tool.kill_all()
        if self.running is not None:
            await self.running.stop(signal.SIGINT, _STOP_PATIENCE_S)

    def kill(self) -> None:
        """End it at once, without a checkpoint; the next start recovers from the log."""
        if self.running is not None:
            self.running.send(signal.SIGQUIT)

    def _spawn_server(self) -> ServerProcess:
        settings = SETTINGS | {"unix_socket_directories": f'"{self._sockets}"', "port": str(PORT)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = [str(self._binaries.postgres), "-D", str(self._place.postgres), *options]
        return self._spawn(program, signal.SIGINT)

    def _spawn(
        self, program: list[str], death_signal: signal.Signals, stdin: Path | None = None
    ) -> ServerProcess:
        with (stdin or Path("/dev/null")).open("rb") as script:
            return ServerProcess(
                program,
                user=self._place.user,
                death_signal=death_signal,
                log=self._log,
                stdin=script,
            )

    async def _answers(self) -> bool:
        """Wait until it takes a connection; False when it ended instead."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + _ANSWER_PATIENCE_S
        while self.process.exit_code is None and clock.time() < deadline:
            try:
                connection = await asyncpg.connect(self.url, timeout=_CONNECT_PATIENCE_S)
            except asyncpg.InvalidPasswordError:
                raise EmbeddedServerError(
                    f"{self._password_file} is not the password of the database in "
                    f"{self._place.postgres}. Restore the file that was made with it."
                ) from None
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                await asyncio.sleep(_ANSWER_POLL_S)
            else:
                await connection.close()
                return True
        return False

    async def _make_cluster(self) -> None:
        """Make a whole cluster under another name first: a crash half-way leaves none."""
        if shutil.disk_usage(self._place.path).free < FREE_BYTES_MIN:
            raise disk_full(self._place.path)
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_hex(24))
        # The last processes of a killed attempt may still write, so each one has a name of its own.
        for abandoned in self._place.path.glob("postgres.draft.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft = self._place.path / f"postgres.draft.{secrets.token_hex(4)}"
        draft.mkdir(mode=0o700)
        self._place.user.own(draft)
        with tempfile.TemporaryDirectory(dir=self._sockets) as scratch:
            self._place.user.own(Path(scratch))
            await self._initdb(draft, Path(scratch))
            await self._create_database(draft, Path(scratch))
        draft.rename(self._place.postgres)

    async def _initdb(self, cluster: Path, scratch: Path) -> None:
        password = scratch / "password"
        write_private(password, self._password())
        self._place.user.own(password)
        login = ["--username", OWNER, "--auth", "scram-sha-256", "--pwfile", str(password)]
        form = ["--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums", "--no-instructions"]
        await self._run_tool([str(self._binaries.initdb), "-D", str(cluster), *login, *form])

    async def _create_database(self, cluster: Path, scratch: Path) -> None:
        statement = scratch / "create.sql"
        statement.write_text(f"CREATE DATABASE {DATABASE};\n")
        single_user = ["--single", "-D", str(cluster), "-c", "exit_on_error=on", "postgres"]
        await self._run_tool([str(self._binaries.postgres), *single_user], stdin=statement)

    async def _run_tool(self, program: list[str], stdin: Path | None = None) -> None:
        tool = self._tool = self._spawn(program, signal.SIGKILL, stdin)
        if await tool.exited(_INITDB_PATIENCE_S) != 0:
            await tool.kill_all()
            raise self._failed("The database could not be made", tool)
        self._tool = None

    def _check_version(self) -> None:
        found = (self._place.postgres / "PG_VERSION").read_text().strip()
        if found != str(POSTGRES_MAJOR):
            raise EmbeddedServerError(
                f"{self._data.path} holds a database of Postgres {found}, and this Fairdrop brings "
                f"Postgres {POSTGRES_MAJOR}. Use the Fairdrop that made it, or choose another "
                "directory with --data."
            )

    def _failed(self, what: str, process: ServerProcess) -> EmbeddedServerError:
        tail = process.log_tail()
        if "No space left" in tail:
            return disk_full(self._place.path)
        return EmbeddedServerError(f"{what}. The end of {self._log} says:\n{tail}")

    def _password(self) -> str:
        try:
            return self._password_file.read_text()
        except FileNotFoundError:
            raise EmbeddedServerError(
                f"{self._password_file}, the password of the database, is missing. "
                "Restore it, or choose another directory with --data."
            ) from None

    @property
    def _password_file(self) -> Path:
        return self._data.path / "postgres.password"

    @property
    def _log(self) -> Path:
        return self._data.logs / "postgres.log"
