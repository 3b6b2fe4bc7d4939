"""The dev broker: a real Apache Kafka in KRaft mode, its jars fetched by Maven from ops/kafka/pom.xml.

One node, own port and data directory; `start` is idempotent, `stop` leaves nothing running. Every fault is a
`BrokerError` whose text says what to do.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from app.dev.private_files import UMASK, append_to
from app.errors import HeliographError

READY_S, STOP_S = 30.0, 15.0
LEAST_DISK_BYTES = 300 << 20
POM = Path(__file__).parents[2] / "ops" / "kafka" / "pom.xml"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
# An open transaction keeps its partitions from every reader: no producer may leave one open for longer.
transaction.max.timeout.ms=60000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
auto.create.topics.enable=false
message.max.bytes=4194304
log.cleaner.dedupe.buffer.size=16777216
"""


class BrokerError(HeliographError):
    """The broker cannot be had; the text is one clear line."""


class DevBroker:
    """`directory` holds the properties, the log of the process, its pid and the data. `more`: further
    properties, which win over ours of the same name; {port} and {controller} stand for the ports."""

    def __init__(self, port: int, directory: Path, cache: Path | None = None, more: str = "") -> None:
        self.port, self.directory, self._more = port, directory, more
        self.address = f"127.0.0.1:{port}"
        self._cache = cache or Path(os.environ.get("HELIOGRAPH_CACHE") or Path.home() / ".cache" / "heliograph")

    def running(self) -> int | None:
        """The pid of our broker, if it runs."""
        pid = self._read_pid()
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        return pid if str(self.directory).encode() in command else None

    def _read_pid(self) -> int | None:
        try:
            return int((self.directory / "pid").read_text())
        except (OSError, ValueError):
            return None

    def found_port(self) -> int:
        """The port of the broker that runs here, or else of the last one; `port` if there was none."""
        try:
            text = (self.directory / "server.properties").read_text()
        except OSError:
            return self.port
        return int(text.partition("listeners=PLAINTEXT://127.0.0.1:")[2].partition(",")[0])

    def start(self) -> str:
        """Start, or find it running or starting; returns its address. Raises BrokerError."""
        ours = self.running() is None
        if ours:
            java, jars = java_here(), self.jars()
            if _answers(self.port):
                raise BrokerError(f"port {self.port} is in use by another program: choose one with --port")
            self._prepare(java, jars)
            self._spawn(java, jars)
        elif (port := self.found_port()) != self.port:
            where = f"a broker runs in {self.directory} on port {port} already"
            raise BrokerError(f"{where}; stop it first, or use --port {port}")
        self._await(ours)
        return self.address

    def _await(self, ours: bool) -> None:
        """Until it answers. Raises BrokerError; only one that we started is stopped then."""
        deadline = time.monotonic() + READY_S
        while not _answers(self.port):
            if _ended(self._read_pid()) or time.monotonic() > deadline:
                reason = self._last_line()
                if ours:
                    self.stop()
                raise BrokerError(f"the broker did not start: {reason} (see {self.directory / 'broker.log'})")
            time.sleep(0.05)

    def stop(self) -> bool:
        """Stop it if it runs; True if it did."""
        pid = self.running()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while not _ended(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += STOP_S
            time.sleep(0.05)
        (self.directory / "pid").unlink(missing_ok=True)
        return True

    def wipe(self) -> None:
        """Remove all it kept."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def jars(self) -> Path:
        """The folder of the broker's jars, fetched once. Raises BrokerError."""
        version = POM.read_text().partition("<kafka.version>")[2].partition("<")[0]
        folder = self._cache / f"kafka-{version}"
        if (folder / "complete").exists():
            return folder
        if shutil.which("mvn") is None:
            raise BrokerError("Maven (mvn) is missing: it fetches Kafka's jars; apt-get install maven")
        _make(folder)
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
        if done.returncode:
            last = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no network?")
            raise BrokerError(f"Maven could not fetch Kafka's jars: {last[:300]}")
        (folder / "complete").touch()
        return folder

    def _prepare(self, java: str, jars: Path) -> None:
        _make(self.directory)
        if shutil.disk_usage(self.directory).free < LEAST_DISK_BYTES:
            raise BrokerError(f"less than {LEAST_DISK_BYTES >> 20} MB free at {self.directory}: make room")
        data, config = self.directory / "data", self.directory / "server.properties"
        _write(config, self._properties(data))
        if (data / "meta.properties").exists():
            return
        command = [java, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format", "-t", "heliographDevBroker000", "-c"]
        done = subprocess.run([*command, str(config)], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise BrokerError(f"the data directory cannot be formatted: {(done.stderr or done.stdout)[-300:].strip()}")

    def _properties(self, data: Path) -> str:
        """The broker's settings. `data`: its data directory."""
        return (PROPERTIES + self._more).format(port=self.port, controller=_free_port(), data=data)

    def _spawn(self, java: str, jars: Path) -> None:
        # The first compiler alone: a dev broker is young, and the second takes a fifth of a core for the first minutes.
        command = [java, "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*", "kafka.Kafka"]
        with append_to(self.directory / "broker.log") as output:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [*command, str(self.directory / "server.properties")],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                umask=UMASK,
            )
        _write(self.directory / "pid", str(process.pid))

    def _last_line(self) -> str:
        lines = (self.directory / "broker.log").read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if "ERROR" in line or "Exception" in line), "no reason given")[
            :300
        ]


def free_port() -> int:
    """A port nobody listens on now."""
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ended(pid: int | None) -> bool:
    """Judged by the process's state: its command line is empty while Java starts itself anew, and while it ends."""
    try:
        if pid is not None:
            os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # it was started by another process, which buries it
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(f"{folder} cannot be made: {error.strerror}") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise BrokerError(f"{file} cannot be written: {error.strerror}") from None


def java_here() -> str:
    """The program. Raises BrokerError if it is missing or too old for Kafka 4."""
    java = shutil.which("java")
    if java is None:
        raise BrokerError("Java 17 or newer is missing: it runs Kafka; apt-get install openjdk-17-jre-headless")
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = text.partition('"')[2].partition('"')[0].split(".")[0]
    if version.isdigit() and int(version) < 17:
        raise BrokerError(f"Java {version} is too old: Kafka 4 needs Java 17 or newer")
    return java
