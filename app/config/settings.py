"""Settings from the environment, read once at start and passed down. All faults are reported together.

Each setting is declared once, in `Settings`; the table of `ops/guide/settings.md`, `.env.example` and what is read from
the environment are derived from it. A secret may also come as NAME_FILE, the path of a file; one trailing newline
is stripped.
"""

# ruff: noqa: RUF009 - `setting` returns a dataclass field, as `dataclasses.field` does

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from app.config import environment, parsers
from app.config.declaration import Field, setting
from app.config.parsers import Secret
from app.errors import HeliographError


class SettingsError(HeliographError):
    """`faults`: one line per fault, each naming the setting."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


# When Twilio's list is asked about a call, seconds after it.
LOOKS = (900.0, 3600.0, 86_400.0, 259_200.0)

# Two checkpoints within the 30 days that the contact log is kept: no contact is ever without one.
MAX_CHECKPOINT_S = 15 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a process. An attribute's type is what its parser returns; `setting` declares the rest."""

    kafka: str = setting(
        "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092", parsers.servers, "brokers, host:port[,host:port]"
    )
    kafka_protocol: str = setting(
        "KAFKA_SECURITY_PROTOCOL",
        "PLAINTEXT",
        parsers.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "how to talk to the brokers",
    )
    sasl_mechanism: str = setting(
        "KAFKA_SASL_MECHANISM",
        "PLAIN",
        parsers.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    )
    sasl_username: str = setting("KAFKA_SASL_USERNAME", "", str, "user of SASL")
    sasl_password: str = setting("KAFKA_SASL_PASSWORD", Secret(""), Secret, "password of SASL", secret=True)
    ssl_cafile: str = setting("KAFKA_SSL_CAFILE", "", parsers.existing, "path of the certificate authority's file")
    config: str = setting(
        "HELIOGRAPH_CONFIG", "", str, "path of the tenants file (TOML); empty: one tenant from TWILIO_*"
    )
    topic_prefix: str = setting("HELIOGRAPH_TOPIC_PREFIX", "", str, "put before every topic and the app id")
    app_id: str = setting(
        "HELIOGRAPH_APP_ID", "heliograph", str, "consumer group of the workers, first part of changelogs"
    )
    partitions: int = setting("HELIOGRAPH_PARTITIONS", 8, parsers.count, "partitions of each core topic, for life")
    replication: int = setting("HELIOGRAPH_REPLICATION", 1, parsers.count, "replicas of each topic (3 in production)")
    data_dir: Path = setting("HELIOGRAPH_DATA_DIR", Path("run/worker"), Path, "tables and journal of one worker")
    spool_dir: Path = setting("HELIOGRAPH_SPOOL_DIR", Path("run/spool"), Path, "the ingress's spool")
    database_url: Secret = setting(
        "HELIOGRAPH_DATABASE_URL",
        Secret(""),
        parsers.database,
        "read model: postgresql://...; empty: an SQLite file",
        secret=True,
    )
    read_model_dir: Path = setting(
        "HELIOGRAPH_READ_MODEL_DIR", Path("run/read-model"), Path, "place of that SQLite file"
    )
    read_model_port: int = setting("HELIOGRAPH_READ_MODEL_PORT", 9099, parsers.port, "health and metrics of its writer")
    pseudonym_key: bytes = setting(
        "HELIOGRAPH_PSEUDONYM_KEY", b"", parsers.key, "key of contact ids, >= 32 bytes, for life", secret=True
    )
    seal_keys: dict[str, bytes] = setting(
        "HELIOGRAPH_SEAL_KEYS", {}, parsers.seal_keys, "kid:key[,kid:key]; the first seals", secret=True
    )
    api_key_store: Path = setting("HELIOGRAPH_API_KEY_STORE", Path("run/api-keys.json"), Path, "file of API key hashes")
    api_rate: float = setting(
        "HELIOGRAPH_API_RATE", 100.0, parsers.not_negative, "requests/s of a key on /v1; 0: no limit"
    )
    api_address_rate: float = setting(
        "HELIOGRAPH_API_ADDRESS_RATE", 200.0, parsers.not_negative, "same, of a client address"
    )
    trusted_proxies: tuple[str, ...] = setting(
        "HELIOGRAPH_TRUSTED_PROXIES",
        ("127.0.0.1", "::1"),
        parsers.networks,
        "addresses or networks whose X-Forwarded-For counts",
    )
    rate: float = setting(
        "HELIOGRAPH_RATE", 10.0, parsers.not_negative, "segments/s of tenant default's lane; 0: no limit"
    )
    keyword_replies: str = setting(
        "HELIOGRAPH_KEYWORD_REPLIES", "twilio", parsers.choice("twilio", "heliograph"), "who answers HELP"
    )
    mode: Literal["live", "sandbox"] = setting(
        "HELIOGRAPH_MODE", "live", parsers.choice("live", "sandbox"), "tenant default: live or sandbox"
    )
    allow: tuple[Secret, ...] = setting(
        "HELIOGRAPH_ALLOW", (), parsers.unshown, "whom a sandbox texts: numbers between commas", secret=True
    )
    session_timeout_s: float = setting(
        "HELIOGRAPH_SESSION_TIMEOUT_S", 10.0, parsers.positive, "s; a dead worker is noticed after it"
    )
    stall_timeout_s: float = setting(
        "HELIOGRAPH_STALL_TIMEOUT_S", 30.0, parsers.positive, "s without progress: the worker ends"
    )
    claim_ttl_s: float = setting(
        "HELIOGRAPH_CLAIM_TTL_S", 5.0, parsers.positive, "s a claimed call may wait before it leaves"
    )
    http_timeout_s: float = setting("HELIOGRAPH_HTTP_TIMEOUT_S", 10.0, parsers.positive, "s for a whole create call")
    http_connect_s: float = setting(
        "HELIOGRAPH_HTTP_CONNECT_S", 3.0, parsers.positive, "s of it to connect, TLS included"
    )
    http_read_s: float = setting(
        "HELIOGRAPH_HTTP_READ_S", 10.0, parsers.positive, "s of it without a byte of the answer"
    )
    doubt_after_s: float = setting("HELIOGRAPH_DOUBT_AFTER_S", 60.0, parsers.positive, "s without an answer: in doubt")
    outcome_grace_s: float = setting(
        "HELIOGRAPH_OUTCOME_GRACE_S", 259_200.0, parsers.positive, "s for reports after expires_at"
    )
    look_after_s: tuple[float, ...] = setting(
        "HELIOGRAPH_LOOK_AFTER_S", LOOKS, parsers.durations, "s after a call without a final report: a look"
    )
    doubt_look_after_s: tuple[float, ...] = setting(
        "HELIOGRAPH_DOUBT_LOOK_AFTER_S", (90.0, 300.0), parsers.durations, "s: a look, in doubt"
    )
    inbound_look_s: float = setting(
        "HELIOGRAPH_INBOUND_LOOK_S", 300.0, parsers.not_negative, "s between looks for lost texts"
    )
    checkpoint_after_s: float = setting(
        "HELIOGRAPH_CHECKPOINT_AFTER_S", 1_209_600.0, parsers.positive, "s: row on log, <= 15 d"
    )
    probe_after_s: float = setting(
        "HELIOGRAPH_PROBE_AFTER_S", 60.0, parsers.positive, "s a refused lane stops before a probe"
    )
    bulk_rate: float = setting(
        "HELIOGRAPH_BULK_RATE", 200.0, parsers.not_negative, "recipients/s a worker expands; 0: no limit"
    )
    call_concurrency: int = setting("HELIOGRAPH_CALL_CONCURRENCY", 20, parsers.count, "most calls at once, per account")
    internal_host: str = setting(
        "HELIOGRAPH_INTERNAL_HOST", "127.0.0.1", str, "address of health and metrics, the bridge's too"
    )
    internal_port: int = setting("HELIOGRAPH_INTERNAL_PORT", 9102, parsers.port, "health and metrics of a process")
    bridge_port: int = setting("HELIOGRAPH_BRIDGE_PORT", 9103, parsers.port, "the bridge's /metrics")
    log_level: str = setting(
        "HELIOGRAPH_LOG_LEVEL", "info", parsers.choice("debug", "info", "warning", "error"), "least level logged"
    )
    port: int = setting("PORT", 8080, parsers.port, "the public port of the ingress")
    account_sid: str = setting("TWILIO_ACCOUNT_SID", "", str, "tenant default: AC...")
    auth_tokens: tuple[str, ...] = setting(
        "TWILIO_AUTH_TOKEN", (), parsers.secrets, "tenant default: token, several during rotation", secret=True
    )
    api_key_sid: str = setting("TWILIO_API_KEY_SID", "", str, "tenant default: SK..., for sending (optional)")
    api_key_secret: str = setting(
        "TWILIO_API_KEY_SECRET", Secret(""), Secret, "tenant default: the API key's secret", secret=True
    )
    messaging_service_sid: str = setting("TWILIO_MESSAGING_SERVICE_SID", "", str, "tenant default: sender MG... (wins)")
    from_number: str = setting("TWILIO_FROM_NUMBER", "", str, "tenant default: sender number")
    status_callback_url: str = setting(
        "TWILIO_STATUS_CALLBACK_URL", "", str, "tenant default: public URL of /twilio/status"
    )
    inbound_url: str = setting(
        "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL", "", str, "tenant default: public URL of /twilio/inbound"
    )
    api_base_url: str = setting("TWILIO_API_BASE_URL", "", str, "another server than api.twilio.com")

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """From a mapping such as os.environ. Raises SettingsError with every fault."""
        settings, faults = cls.read_with_faults(env)
        if faults:
            raise SettingsError(faults)
        return settings

    @classmethod
    def read_with_faults(cls, env: Mapping[str, str]) -> tuple["Settings", tuple[str, ...]]:
        """Settings and every fault; where there is one, the default stands, so that what depends on it can be read."""
        faults: list[str] = []
        env = environment.with_aliases(env, faults)
        read = {field.name: environment.value_of(field, env, faults) for field in FIELDS}
        faults += environment.unknown_names(env, FIELDS)
        if read["doubt_after_s"] <= read["claim_ttl_s"] + read["http_timeout_s"]:
            faults.append("HELIOGRAPH_DOUBT_AFTER_S: must exceed claim ttl + http timeout")
        if read["checkpoint_after_s"] > MAX_CHECKPOINT_S:
            faults.append("HELIOGRAPH_CHECKPOINT_AFTER_S: must be at most 1296000, half of what topic contacts keeps")
        if read["kafka_protocol"].startswith("SASL") and not read["sasl_username"]:
            faults.append("KAFKA_SASL_USERNAME: is required with KAFKA_SECURITY_PROTOCOL " + read["kafka_protocol"])
        return cls(**read), tuple(faults)

    @property
    def group(self) -> str:
        """Consumer group of the workers, and the first part of changelog names."""
        return self.topic_prefix + self.app_id

    def keys_missing(self) -> tuple[str, ...]:
        """Faults of a process that touches people's data without both keys."""
        missing = {"HELIOGRAPH_PSEUDONYM_KEY": self.pseudonym_key, "HELIOGRAPH_SEAL_KEYS": self.seal_keys}
        return tuple(f"{name}: is required" for name, value in missing.items() if not value)


# One `Field` for each setting, in the order of their declaration.
FIELDS = tuple(Field(name=declared.name, **declared.metadata) for declared in fields(Settings))
