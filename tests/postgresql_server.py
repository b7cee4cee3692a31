"""A PostgreSQL server of the tests: in a temporary folder, on a Unix socket, by a user who is not root."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

USER = "imagebuild"


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server; ``password_file`` is for PGPASSFILE."""

    socket: Path
    password: str
    password_file: Path
    programs: Path

    def url(self, database: str = "postgres", password: str = "", host: str = "") -> str:
        """A ledger's address, by the Unix socket or by TCP."""
        who = f"{USER}:{password}" if password else USER
        if host:
            return f"postgresql://{who}@{host}/{database}"
        return f"postgresql://{who}@/{database}?host={self.socket}"

    def create(self, database: str) -> None:
        words = ["-h", self.socket, "-U", USER, database]
        env = {**os.environ, "PGPASSFILE": str(self.password_file)}
        subprocess.run([self.programs / "createdb", *words], check=True, env=env)


def programs() -> Path | None:
    """The folder of the newest server programs: Debian does not have them in PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


@contextmanager
def running(listen: str = "", within: Sequence[str] = ()) -> Iterator[PostgresqlServer]:
    """A new server, which ends with the block. ``listen`` is an address that it serves, too; ``within``
    are words in front of its command, such as those that enter a network namespace.
    """
    where = programs()
    if where is None:
        pytest.fail("PostgreSQL's server programs are missing; `make setup-tests` installs them")
    folder = Path(tempfile.mkdtemp(prefix="imagebuild-pg-"))
    process = None
    try:
        folder.chmod(0o755)  # the socket is in it
        password = secrets.token_hex(16)
        pgpass = folder / "pgpass"
        pgpass.write_text(f"*:*:*:{USER}:{password}\n")
        pgpass.chmod(0o600)
        hidden = folder / "password"
        hidden.write_text(password)
        as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            as_user = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")
            for path in (folder, hidden):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        data = folder / "data"
        made = subprocess.run(
            [*as_user, where / "initdb", "--pgdata", data, "--username", USER, "--pwfile", hidden,
             "--auth", "scram-sha-256", "--no-sync", "--no-locale", "--encoding", "UTF8"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*within, *as_user, where / "postgres", "-D", data, "-k", folder, "-c", f"listen_addresses={listen}",
                 "-c", "fsync=off"],
                cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        server = PostgresqlServer(folder, password, pgpass, where)
        for _ in range(600):
            if subprocess.run([where / "pg_isready", "-q", "-h", folder], check=False).returncode == 0:
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield server
    finally:
        if process is not None:
            process.send_signal(2)  # a fast shutdown
            process.wait(30)
        shutil.rmtree(folder)
