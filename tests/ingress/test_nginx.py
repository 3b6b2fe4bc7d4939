"""The sample reverse proxy: read as text always; with nginx here, tested by nginx and with signed webhooks through it."""

import asyncio
import datetime
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.config.settings import Settings
from app.dev.broker import free_port
from app.ingress.durable.writer import ACK_S
from app.ingress.v1.rate_limits import BURST_S
from app.provider.webhook_forms import MAX_BODY_BYTES
from app.provider.webhooks import signature
from app.records.requests import MAX_VALUE_BYTES
from tests.support.ingress_server import ACME, MESSAGE, PUBLIC, SID, door, eventually
from tests.support.keyring import ACME_KEY

CONF = (Path(__file__).parents[2] / "ops" / "nginx" / "heliograph.conf").read_text()
WORDS = re.sub(r"#.*", "", CONF)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="there is no nginx here; its file is read as text alone")


def seconds(name: str) -> list[int]:
    return [int(value) for value in re.findall(rf"{name} (\d+)s;", WORDS)]


def sizes() -> dict[str, int]:
    units = {"": 1, "k": 1 << 10}
    rows = re.findall(r"location ([^{]+) \{[^}]*?client_max_body_size (\d+)(k?);", WORDS)
    return {path: int(number) * units[unit] for path, number, unit in rows}


def test_only_the_public_routes_are_passed_on_and_as_they_came() -> None:
    locations = re.findall(r"location ([^{]+) \{([^}]*)\}", WORDS)
    passed = {path: re.findall(r"proxy_pass (\S+);", body) for path, body in locations}
    door = ["http://heliograph_ingress"]
    assert passed.pop("@too_long") == passed.pop("@too_many") == []
    assert passed == {"/twilio/": door, "= /v1/messages": door, "/v1/messages/": door, "/": []}
    assert re.findall(r"^\s*server (\S+) ", WORDS, re.MULTILINE) == ["127.0.0.1:8080"]
    assert not re.search(r"rewrite |return 30|sub_filter|gunzip|910\d", WORDS)


def test_a_body_is_refused_here_exactly_when_the_ingress_would_refuse_it() -> None:
    """The ingress answers before such a body is whole, and closes: nginx would make a 502 of it."""
    assert (sizes()["/twilio/"], sizes()["= /v1/messages"]) == (MAX_BODY_BYTES, MAX_VALUE_BYTES)
    assert "error_page 413 @too_long;" in WORDS and "default_type application/problem+json;" in WORDS


def test_no_key_exchange_without_forward_secrecy_and_no_cbc_is_spoken() -> None:
    [ciphers] = re.findall(r"ssl_ciphers ([^;]+);", WORDS)
    assert re.findall(r"ssl_protocols ([^;]+);", WORDS) == ["TLSv1.2 TLSv1.3"]
    for cipher in ciphers.split(":"):
        assert re.fullmatch(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA\d+|CHACHA20-POLY1305)", cipher)


def test_browsers_are_told_to_stay_with_tls_by_every_answer() -> None:
    """A location with a header of its own inherits none."""
    told = re.findall(r'add_header Strict-Transport-Security "max-age=(\d+)"(.*);', WORDS)
    assert [(int(seconds_told) >= 31_536_000, more) for seconds_told, more in told] == [(True, " always")] * 2
    own = [body for _, body in re.findall(r"location ([^{]+) \{([^}]*)\}", WORDS) if "add_header" in body]
    assert len(own) == 1 and "Strict-Transport-Security" in own[0]


def test_the_api_is_limited_here_as_in_the_ingress_and_webhooks_are_not() -> None:
    rates = re.findall(r"limit_req_zone \$binary_remote_addr zone=(\w+):10m rate=(\d+)r/s;", WORDS)
    rate = Settings.read({}).api_address_rate
    assert rates == [("heliograph_api", f"{rate:g}")] and "limit_req_status 429;" in WORDS
    limit = f"limit_req zone=heliograph_api burst={rate * BURST_S:g} nodelay;"
    limited = {path for path, body in re.findall(r"location ([^{]+) \{([^}]*)\}", WORDS) if limit in body}
    assert limited == {"= /v1/messages", "/v1/messages/"} and WORDS.count("limit_req zone") == len(limited)
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in WORDS and WORDS.count("proxy_set_header") == 3


def test_neither_log_holds_addresses_or_queries() -> None:
    """No line about a request is as grave as emerg; nginx has no format for its error log."""
    assert re.findall(r"error_log (\S+)( \w+)?;", WORDS) == [("/var/log/nginx/heliograph.error.log", " emerg")]
    [logged] = re.findall(r"log_format heliograph '([^']+)';", WORDS)
    assert not {"$remote_addr", "$request", "$request_uri", "$args", "$query_string"} & set(logged.split())


def test_the_ingress_has_time_to_answer_and_twilio_hears_it() -> None:
    [read], [connect], [again] = (
        seconds(f"proxy_{n}") for n in ("read_timeout", "connect_timeout", "next_upstream_timeout")
    )
    assert read > 2 * ACK_S and connect + again + read < 15
    assert seconds("    keepalive_timeout")[0] < 5  # uvicorn's own


@asynccontextmanager
async def proxied(path: Path, upstream: str) -> AsyncIterator["Proxy"]:
    """nginx on a port of its own, with the sample file and a certificate made for it."""
    port = free_port()
    conf = CONF.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("127.0.0.1:8080", upstream)
    conf = conf.replace("/etc/nginx/tls", str(path)).replace("/var/log/nginx", str(path))
    certify(path)
    whole = path / "nginx.conf"
    places = "".join(f"{n}_temp_path {path}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    head = f"daemon off; master_process off; pid {path}/pid; error_log stderr warn; events {{}}"
    whole.write_text(f"{head} http {{ {places}\n{conf}\n}}")
    command = [str(NGINX), "-e", "stderr", "-p", str(path), "-c", str(whole)]
    tested = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True)
    assert (tested.returncode, tested.stderr) == (0, "")
    server = subprocess.Popen(command)
    try:
        proxy = Proxy(port, ssl.create_default_context(cafile=path / "heliograph.crt"))
        await eventually(proxy.listens)
        yield proxy
    finally:
        server.terminate()
        server.wait(10)


class Proxy:
    """Asked byte by byte, so that no client of ours mends a path."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        self.port, self._trusted = port, trusted

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and everything that was answered."""
        given = {"Host": "hooks.example.com", "Connection": "close", "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name.replace('_', '-')}: {v}" for name, v in given.items())]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self._trusted, server_hostname="hooks.example.com"
        )
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1]), answer


def certify(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example.com")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    named = x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")])
    made = builder.add_extension(named, critical=False).sign(key, hashes.SHA256())
    (path / "heliograph.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (path / "heliograph.key").write_bytes(key.private_bytes(*form))


FORM = [("MessageSid", SID), ("MessageStatus", "sent"), ("AccountSid", ACME), ("Empty", ""), ("Text", " STOP \r\n")]


@needs_nginx
async def test_a_signed_webhook_passes_with_its_path_query_and_form_as_they_were(tmp_path: Path) -> None:
    target, body = f"/twilio/status?m={MESSAGE}&a=1&x=%2F%2e%20a+b//c", urlencode(FORM).encode()
    given = {
        "X_Twilio_Signature": signature("token-of-acme", PUBLIC + target, FORM),
        "Content_Type": "application/x-www-form-urlencoded",
    }
    async with door(tmp_path / "door") as made, proxied(tmp_path, made.http.base_url.netloc.decode()) as proxy:
        passed = await proxy.ask("POST", target, body, **given)
        changed = await proxy.ask("POST", target + "1", body, **given)
        long = await proxy.ask("POST", target, b"x" * (MAX_BODY_BYTES + 1), **given)
        others = [(await proxy.ask("GET", path))[0] for path in ("/metrics", "/healthz", "/", "/v1/other", "/docs")]
        asked = await proxy.ask("DELETE", "/v1/messages/" + MESSAGE)
    assert (passed[0], changed[0], long[0], asked[0], others) == (204, 403, 413, 401, [404] * 5)
    assert b"application/problem+json" in long[1] and [r["sid"] for r in made.kafka.of("contacts")] == [SID]
    logged = (tmp_path / "heliograph.log").read_text().splitlines()
    assert len(logged) == 9 and [line for line in logged if "?" in line or "a=1" in line] == []


@needs_nginx
async def test_the_ingress_limits_by_the_address_that_nginx_saw_whatever_the_client_says(tmp_path: Path) -> None:
    one_each = {"HELIOGRAPH_API_ADDRESS_RATE": "0.001"}
    async with (
        door(tmp_path / "door", extra=one_each) as made,
        proxied(tmp_path, made.http.base_url.netloc.decode()) as proxy,
    ):
        asked = [await proxy.ask("GET", "/v1/messages/x", X_Forwarded_For=f"203.0.113.{n}") for n in range(2)]
    assert [status for status, _ in asked] == [401, 429] and b"Retry-After: 1000" in asked[1][1].title()


@needs_nginx
async def test_a_long_body_is_413_every_time_and_no_log_says_whose(tmp_path: Path) -> None:
    form = {"X_Twilio_Signature": "bm9uZQ==", "Content_Type": "application/x-www-form-urlencoded"}
    given = {"Authorization": f"Bearer {ACME_KEY}", "Content_Type": "application/json"}
    async with door(tmp_path / "door") as made, proxied(tmp_path, made.http.base_url.netloc.decode()) as proxy:
        long = [await proxy.ask("POST", f"/twilio/status?m={n}", b"x" * 70_000, **form) for n in range(20)]
        long += [await proxy.ask("POST", "/v1/messages", b"x" * 950_000, **given) for _ in range(5)]
    for status, answer in long:
        assert status == 413 and b"application/problem+json" in answer and b"Strict-Transport-Security" in answer
    assert (tmp_path / "heliograph.error.log").read_text() == ""


@needs_nginx
async def test_an_ingress_that_is_away_leaves_no_address_in_the_error_log(tmp_path: Path) -> None:
    async with proxied(tmp_path, f"127.0.0.1:{free_port()}") as proxy:
        status, _ = await proxy.ask("POST", "/twilio/status?m=1", b"x")
        await eventually(lambda: " 502 " in (tmp_path / "heliograph.log").read_text())
    assert status == 502 and (tmp_path / "heliograph.error.log").read_text() == ""


@needs_nginx
@pytest.mark.parametrize(
    ("cipher", "spoken"), [("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES128-SHA", False)]
)
async def test_a_client_that_speaks_cbc_alone_is_not_spoken_to(tmp_path: Path, cipher: str, spoken: bool) -> None:
    async with proxied(tmp_path, f"127.0.0.1:{free_port()}") as proxy:
        client = ssl.create_default_context(cafile=tmp_path / "heliograph.crt")
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(f"{cipher}:@SECLEVEL=0")
        proxy = Proxy(proxy.port, client)
        if spoken:
            assert (await proxy.ask("GET", "/"))[0] == 404
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
                await proxy.ask("GET", "/")
