"""A real PostgreSQL in a directory of its own, on a Unix socket, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

USER = "heliograph"


class Postgres:
    """One server. PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy where that user cannot read it."""

    def __init__(self) -> None:
        found = shutil.which("initdb")
        assert found, "PostgreSQL is missing: ops/test fetches it (ensure_postgresql in ops/venv.sh)"
        self._bin = Path(found).resolve().parent
        # Not below pytest's directory, which is its owner's alone; and a socket's path has at most 107 characters.
        self.path = Path(tempfile.mkdtemp(prefix="heliograph-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Up and answering."""
        if self._user:
            shutil.chown(self.path, self._user)
            self._bring_into_reach()
        data = self.path / "data"
        self._run(
            "initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", str(data)
        )
        options = ["-k", str(self.path), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "jit=off"]
        with (self.path / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", data, *options], stdout=log, stderr=log, env=self._env, **self._as_user
            )
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        from tests.support.engine_lab import until

        until(lambda: self._run("pg_isready", "-q", "-h", str(self.path), "-U", USER, check=False) == 0, 60)

    def url(self, database: str) -> str:
        """Of a new, empty database of this name."""
        self._run("createdb", "-h", str(self.path), "-U", USER, database)
        return f"postgresql://{USER}@/{database}?host={self.path}"

    def dump(self, database: str) -> bytes:
        """All that it holds, as SQL."""
        command = [self._bin / "pg_dump", "-h", self.path, "-U", USER, database]
        return subprocess.run(command, check=True, capture_output=True, env=self._env).stdout

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _env(self) -> dict[str, str]:
        libraries = self._root / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_LIBRARY_PATH": str(libraries)}

    @property
    def _root(self) -> Path:
        """Of the file system that the package was unpacked in: /usr/lib/postgresql/VERSION/bin is below it."""
        return next(
            (self._bin.parents[n + 2] for n, part in enumerate(self._bin.parents) if part.name == "lib"), Path("/")
        )

    @property
    def _as_user(self) -> dict[str, object]:
        return {"user": self._user, "group": None, "extra_groups": []} if self._user else {}

    def _bring_into_reach(self) -> None:
        """Unpacked packages in root's home can be read by nobody else."""
        whole = self._root
        if whole != Path("/") and any(not part.stat().st_mode & 1 for part in self._bin.parents):
            copy = self.path / "software"
            shutil.copytree(whole, copy, symlinks=True)
            self._bin = copy / self._bin.relative_to(whole)

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [self._bin / name, *arguments], capture_output=True, env=self._env, cwd=self.path, **self._as_user
        )
        assert done.returncode == 0 or not check, done.stderr.decode()
        return done.returncode
