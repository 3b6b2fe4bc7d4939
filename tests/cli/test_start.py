"""What a process says when it cannot start, and the code it ends with. Mostly real processes, no broker."""

import socket
from pathlib import Path

import pytest
from aiokafka.errors import LeaderNotAvailableError, MessageSizeTooLargeError, NodeNotReadyError, RequestTimedOutError

from app.cli.process.start import running
from app.config.settings import Settings
from app.dev.broker import free_port
from tests.support.commands import KEYS, faults, heliograph

PROCESSES = ("ingress", "worker", "bridge")
BAD = {
    "KAFKA_BOOTSTRAP_SERVERS": "nowhere",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SSL_CAFILE": "/nonexistent/ca.pem",
    "HELIOGRAPH_PARTITIONS": "0",
    "HELIOGRAPH_PARTITONS": "8",
    "HELIOGRAPH_RATE": "nan",
    "HELIOGRAPH_LOG_LEVEL": "loud",
    "HELIOGRAPH_PSEUDONYM_KEY": "short",
    "HELIOGRAPH_API_KEYS_FILE": "/nonexistent/keys",
    "HELIOGRAPH_TRUSTED_PROXIES": "proxy.example.com",
    "HELIOGRAPH_CLAIM_TTL_S": "100",
    "PORT": "http",
}
EXPECTED = [
    "KAFKA_BOOTSTRAP_SERVERS: must be host:port[,host:port]",
    "KAFKA_SSL_CAFILE: must be the path of a file that exists",
    "HELIOGRAPH_PARTITIONS: must be a whole number above 0",
    "HELIOGRAPH_PSEUDONYM_KEY: must be at least 32 bytes in hex or base64",
    "HELIOGRAPH_TRUSTED_PROXIES: must be addresses or networks between commas, such as 127.0.0.1,10.0.0.0/8",
    "HELIOGRAPH_RATE: must not be negative",
    "HELIOGRAPH_LOG_LEVEL: must be one of debug, info, warning, error",
    "PORT: is not a number",
    "HELIOGRAPH_API_KEYS_FILE: plain API keys are not accepted: make each by heliograph keys api create, and take this out",
    "HELIOGRAPH_PARTITONS: is not a setting; did you mean HELIOGRAPH_PARTITIONS?",
    "HELIOGRAPH_DOUBT_AFTER_S: must exceed claim ttl + http timeout",
    "KAFKA_SASL_USERNAME: is required with KAFKA_SECURITY_PROTOCOL SASL_SSL",
]


@pytest.mark.parametrize("process", PROCESSES)
def test_every_fault_of_the_settings_is_told_at_once_and_it_ends_with_2(process: str, tmp_path: Path) -> None:
    tenants = tmp_path / "tenants.toml"
    tenants.write_text("[tenants.acme]\naccount = 3\n")
    done = heliograph(process, **BAD, HELIOGRAPH_CONFIG=str(tenants))
    told = [*EXPECTED, f"HELIOGRAPH_CONFIG: {tenants}: tenants.acme.account: is not known; did you mean account_sid?"]
    told += [f"HELIOGRAPH_CONFIG: {tenants}: tenants.acme.lanes: needs at least one lane"]
    required = [] if process == "bridge" else ["HELIOGRAPH_SEAL_KEYS: is required"]
    assert (done.returncode, done.stdout, faults(done)) == (2, "", told + required)


def test_a_worker_says_of_which_tenants_no_text_can_leave_and_starts_for_the_others(tmp_path: Path) -> None:
    tenants, nowhere = tmp_path / "tenants.toml", f"127.0.0.1:{free_port()}"
    lane = '[tenants.{0}.lanes.x]\nfrom_number = "+15005550006"\n'
    account = 'account_sid = "AC{}"\nauth_tokens = ["t"]\n'.format("a" * 32)
    tenants.write_text("[tenants.a]\n" + lane.format("a") + "[tenants.b]\n" + account + lane.format("b"))
    given = {"HELIOGRAPH_CONFIG": str(tenants), "TWILIO_API_BASE_URL": "http://127.0.0.1:9"}
    done = heliograph("worker", **KEYS, **given, KAFKA_BOOTSTRAP_SERVERS=nowhere)
    assert (done.returncode, faults(done)) == (70, [f"no Kafka at {nowhere} (KAFKA_BOOTSTRAP_SERVERS)"])
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: ")] == [
        "warning: tenant a: account_sid: must be AC...; none of its texts leaves",
        "warning: tenant a: auth_tokens: is required; none of its texts leaves",
    ]


BROKEN_FILES = [
    ("[tenants.acme", ["is not TOML: Expected ']' at the end of a table declaration (at end of document)"]),
    ("", ["has no [tenants.NAME] table"]),
    ("[tenant.acme]\n", ["tenant: is not known; tables are [tenants.NAME]"]),
    ("[tenants]\nacme = 1\n", ["tenants.acme: must be a table"]),
    ("tenants = 1\n", ["tenants.: must be a table"]),
    ("[tenants.a]\nlanes = 1\n", ["tenants.a.lanes: must be a table"]),
    ("[tenants.a]\n", ["tenants.a.lanes: needs at least one lane"]),
    (
        '[tenants.a]\nstrict_numbers = "no"\n[tenants.a.lanes.x]\nrate = -1\n[tenants.b.lanes.y]\n',
        [
            "tenants.a.lanes.x.rate: Expected `float` >= 0.0",
            "tenants.a.strict_numbers: Expected `bool`, got `str`",
            "tenants.a.lanes.x: needs exactly one of messaging_service_sid and from_number",
            "tenants.b.lanes.y: needs exactly one of messaging_service_sid and from_number",
        ],
    ),
]


@pytest.mark.parametrize(("text", "told"), BROKEN_FILES)
def test_a_broken_tenants_file_is_named_with_table_and_field(text: str, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text(text)
    done = heliograph("worker", **KEYS, HELIOGRAPH_CONFIG=str(path))
    assert done.returncode == 2
    assert faults(done) == [f"HELIOGRAPH_CONFIG: {path}: {fault}" for fault in told]


def test_a_tenants_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    done = heliograph("ingress", **KEYS, HELIOGRAPH_CONFIG=str(path))
    assert (done.returncode, faults(done)) == (2, [f"HELIOGRAPH_CONFIG: {path}: No such file or directory"])


CANCEL, SEND = "cancel 7a031076e4d2147aa60c-979f8995cb98fd500dc0", "send --to +14155550123 --body x --dry-run"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (CANCEL, "--tenant: is required, one of acme, beta"),
        (f"{CANCEL} --tenant gamma", "--tenant: there is no tenant gamma: one of acme, beta"),
        (SEND, "--tenant: is required, one of acme, beta"),
        (f"{SEND} --tenant gamma", "--tenant: there is no tenant gamma: one of acme, beta"),
    ],
)
def test_what_no_tenant_of_the_file_would_be_asked_is_refused_at_once(words: str, fault: str, tmp_path: Path) -> None:
    path, table = tmp_path / "tenants.toml", '[tenants.{0}.lanes.main]\nfrom_number = "+15005550006"\n'
    path.write_text(table.format("acme") + table.format("beta"))
    done = heliograph(*words.split(), HELIOGRAPH_CONFIG=str(path))
    assert (done.returncode, faults(done)) == (2, [fault])


def test_the_only_tenant_of_the_file_need_not_be_named_and_without_a_file_any_may_be(tmp_path: Path) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text('[tenants.acme.lanes.main]\nfrom_number = "+15005550006"\n')
    assert heliograph(*SEND.split(), HELIOGRAPH_CONFIG=str(path)).returncode == 0
    assert heliograph(*SEND.split(), "--tenant", "acme").returncode == 0


NEEDS_KAFKA = [
    ("worker", 70),
    ("bridge --port 0", 70),
    ("topics plan", 1),
    ("topics apply", 1),
    ("outcomes", 1),
    ("explain 7a031076e4d2147aa60c-979f8995cb98fd500dc0", 1),
    ("cancel 7a031076e4d2147aa60c-979f8995cb98fd500dc0", 1),
    ("send --to +14155550123 --body x", 1),
]


@pytest.mark.parametrize(("words", "code"), NEEDS_KAFKA)
def test_a_missing_kafka_is_named_by_its_address(words: str, code: int, tmp_path: Path) -> None:
    port = free_port()
    env = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}", "HELIOGRAPH_DATA_DIR": str(tmp_path)}
    done = heliograph(*words.split(), **KEYS, **env)
    assert (done.returncode, faults(done)) == (code, [f"no Kafka at 127.0.0.1:{port} (KAFKA_BOOTSTRAP_SERVERS)"])


def test_doctor_names_the_missing_kafka_too() -> None:
    done = heliograph("doctor", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", **KEYS)
    assert done.returncode == 1 and "!  kafka at 127.0.0.1:1: not reachable" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named_and_worth_another_try(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "HELIOGRAPH_SPOOL_DIR": str(tmp_path)}
        done = heliograph("ingress", "--port", str(port), **KEYS, **env)
    told = f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (done.returncode, faults(done)) == (70, [told])


ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "token", "TWILIO_FROM_NUMBER": "+15005550006"}


@pytest.mark.parametrize("server", [{}, {"TWILIO_API_BASE_URL": "https://api.dublin.ie1.twilio.com"}])
def test_no_worker_sends_through_twilio_itself_unless_it_is_told_to(server: dict[str, str]) -> None:
    done = heliograph("worker", **KEYS, **ACCOUNT, **server)
    assert done.returncode == 2 and "add --live" in done.stderr and "default" in done.stderr


@pytest.mark.parametrize(("words", "server"), [(["--live"], {}), ([], {"TWILIO_API_BASE_URL": "http://127.0.0.1:1"})])
def test_a_worker_starts_with_live_or_where_another_server_is_named(words: list[str], server: dict[str, str]) -> None:
    away = f"127.0.0.1:{free_port()}"
    done = heliograph("worker", *words, **KEYS, **ACCOUNT, **server, KAFKA_BOOTSTRAP_SERVERS=away)
    assert done.returncode == 70 and f"no Kafka at {away}" in done.stderr


PORTS = [
    ("kafka start --port 0", "1<=x<=65535"),
    ("kafka start --port 70000", "1<=x<=65535"),
    ("simulator --port 70000", "0<=x<=65535"),
    ("simulator --account nobody", "account: nobody is not AC and 32 hex digits"),
    ("simulator --sender nobody", "sender: nobody is no number"),
    ("simulator --inbound-url nowhere", "inbound_url: nowhere is no http URL"),
    ("ingress --port -1", "0<=x<=65535"),
    ("ingress --internal-port 65536", "0<=x<=65535"),
    ("bridge --port 65536", "0<=x<=65535"),
    ("up --port 65536", "0<=x<=65535"),
]


@pytest.mark.parametrize(("words", "rule"), PORTS)
def test_a_port_out_of_range_is_wrong_usage_and_says_the_range(words: str, rule: str) -> None:
    done = heliograph(*words.split(), **KEYS)
    assert done.returncode == 2 and rule in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["PORT", "HELIOGRAPH_INTERNAL_PORT", "HELIOGRAPH_BRIDGE_PORT"])
def test_a_port_out_of_range_in_the_settings_is_named(name: str) -> None:
    done = heliograph("ingress", **KEYS, **{name: "65536"})
    assert (done.returncode, faults(done)) == (2, [f"{name}: must be a port, 0 to 65535 (0: any free one)"])


def test_everything_at_once_tells_faults_of_the_settings_as_its_parts_would(tmp_path: Path) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "HELIOGRAPH_INTERNAL_PORT": "65536", "HELIOGRAPH_RATE": "-1"}
    done = heliograph("up", "--dir", str(tmp_path), **env)
    told = ["HELIOGRAPH_RATE: must not be negative"]
    told += ["HELIOGRAPH_INTERNAL_PORT: must be a port, 0 to 65535 (0: any free one)"]
    assert (done.returncode, faults(done)) == (2, told)


def test_a_broker_of_several_that_is_not_ready_ends_a_start_with_70_and_one_line(capsys):
    for error in (NodeNotReadyError, LeaderNotAvailableError, RequestTimedOutError):
        with pytest.raises(SystemExit) as ended, running(Settings.read({"KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2"})):
            raise error
        assert ended.value.code == 70
        assert capsys.readouterr().err == f"error: Kafka at a:1,b:2 does not answer now ({error.__name__}): try again\n"


def test_what_another_try_would_not_mend_is_not_taken_for_a_broker_that_is_away():
    with pytest.raises(MessageSizeTooLargeError), running(Settings.read({})):
        raise MessageSizeTooLargeError
