"""Settings from the environment, read once and passed down. Every fault is listed at once.

A secret may come as NAME_FILE (a path; one trailing newline is stripped), as the official images have it. The README's
table is generated from `FIELDS`, so each has a unit and a meaning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from app.config import environment, parsers
from app.config.parsers import Field, Secret
from app.errors import HeliographError


class SettingsError(HeliographError):
    """`faults`: one line per fault, each naming the setting."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


# When Twilio's list is asked about a call, seconds after it.
LOOKS = (900.0, 3600.0, 86_400.0, 259_200.0)

FIELDS = (
    Field("KAFKA_BOOTSTRAP_SERVERS", "kafka", "127.0.0.1:19092", parsers.servers, "brokers, host:port[,host:port]"),
    Field(
        "KAFKA_SECURITY_PROTOCOL",
        "kafka_protocol",
        "PLAINTEXT",
        parsers.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "how to talk to the brokers",
    ),
    Field(
        "KAFKA_SASL_MECHANISM",
        "sasl_mechanism",
        "PLAIN",
        parsers.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    Field("KAFKA_SASL_USERNAME", "sasl_username", "", str, "user of SASL"),
    Field("KAFKA_SASL_PASSWORD", "sasl_password", Secret(""), Secret, "password of SASL", secret=True),
    Field("KAFKA_SSL_CAFILE", "ssl_cafile", "", parsers.existing, "path of the certificate authority's file"),
    Field("HELIOGRAPH_CONFIG", "config", "", str, "path of the tenants file (TOML); empty: one tenant from TWILIO_*"),
    Field("HELIOGRAPH_TOPIC_PREFIX", "topic_prefix", "", str, "put before every topic and the app id"),
    Field("HELIOGRAPH_APP_ID", "app_id", "heliograph", str, "consumer group of the workers, first part of changelogs"),
    Field("HELIOGRAPH_PARTITIONS", "partitions", 8, parsers.count, "partitions of each core topic, for life"),
    Field("HELIOGRAPH_REPLICATION", "replication", 1, parsers.count, "replicas of each topic (3 in production)"),
    Field("HELIOGRAPH_DATA_DIR", "data_dir", Path("run/worker"), Path, "tables and journal of one worker"),
    Field("HELIOGRAPH_SPOOL_DIR", "spool_dir", Path("run/spool"), Path, "the ingress's spool"),
    Field(
        "HELIOGRAPH_DATABASE_URL",
        "database_url",
        Secret(""),
        parsers.database,
        "read model: postgresql://...; empty: an SQLite file",
        secret=True,
    ),
    Field("HELIOGRAPH_READ_MODEL_DIR", "read_model_dir", Path("run/read-model"), Path, "place of that SQLite file"),
    Field("HELIOGRAPH_READ_MODEL_PORT", "read_model_port", 9099, parsers.port, "health and metrics of its writer"),
    Field(
        "HELIOGRAPH_PSEUDONYM_KEY",
        "pseudonym_key",
        b"",
        parsers.key,
        "key of contact ids, >= 32 bytes, for life",
        secret=True,
    ),
    Field(
        "HELIOGRAPH_SEAL_KEYS", "seal_keys", {}, parsers.seal_keys, "kid:key[,kid:key]; the first seals", secret=True
    ),
    Field("HELIOGRAPH_API_KEY_STORE", "api_key_store", Path("run/api-keys.json"), Path, "file of API key hashes"),
    Field("HELIOGRAPH_API_RATE", "api_rate", 100.0, parsers.not_negative, "requests/s of a key on /v1; 0: no limit"),
    Field("HELIOGRAPH_API_ADDRESS_RATE", "api_address_rate", 200.0, parsers.not_negative, "same, of a client address"),
    Field(
        "HELIOGRAPH_TRUSTED_PROXIES",
        "trusted_proxies",
        ("127.0.0.1", "::1"),
        parsers.networks,
        "addresses or networks whose X-Forwarded-For counts",
    ),
    Field("HELIOGRAPH_RATE", "rate", 10.0, parsers.not_negative, "segments/s of tenant default's lane; 0: no limit"),
    Field(
        "HELIOGRAPH_KEYWORD_REPLIES",
        "keyword_replies",
        "twilio",
        parsers.choice("twilio", "heliograph"),
        "who answers HELP",
    ),
    Field("HELIOGRAPH_MODE", "mode", "live", parsers.choice("live", "sandbox"), "tenant default: live or sandbox"),
    Field(
        "HELIOGRAPH_ALLOW", "allow", (), parsers.unshown, "whom a sandbox texts: numbers between commas", secret=True
    ),
    Field(
        "HELIOGRAPH_SESSION_TIMEOUT_S",
        "session_timeout_s",
        10.0,
        parsers.positive,
        "s; a dead worker is noticed after it",
    ),
    Field(
        "HELIOGRAPH_STALL_TIMEOUT_S", "stall_timeout_s", 30.0, parsers.positive, "s without progress: the worker ends"
    ),
    Field("HELIOGRAPH_CLAIM_TTL_S", "claim_ttl_s", 5.0, parsers.positive, "s a claimed call may wait before it leaves"),
    Field("HELIOGRAPH_HTTP_TIMEOUT_S", "http_timeout_s", 10.0, parsers.positive, "s for a whole create call"),
    Field("HELIOGRAPH_HTTP_CONNECT_S", "http_connect_s", 3.0, parsers.positive, "s of it to connect, TLS included"),
    Field("HELIOGRAPH_HTTP_READ_S", "http_read_s", 10.0, parsers.positive, "s of it without a byte of the answer"),
    Field("HELIOGRAPH_DOUBT_AFTER_S", "doubt_after_s", 60.0, parsers.positive, "s without an answer: in doubt"),
    Field(
        "HELIOGRAPH_OUTCOME_GRACE_S", "outcome_grace_s", 259_200.0, parsers.positive, "s for reports after expires_at"
    ),
    Field(
        "HELIOGRAPH_LOOK_AFTER_S",
        "look_after_s",
        LOOKS,
        parsers.durations,
        "s after a call without a final report: a look",
    ),
    Field(
        "HELIOGRAPH_DOUBT_LOOK_AFTER_S", "doubt_look_after_s", (90.0, 300.0), parsers.durations, "s: a look, in doubt"
    ),
    Field("HELIOGRAPH_INBOUND_LOOK_S", "inbound_look_s", 300.0, parsers.not_negative, "s between looks for lost texts"),
    Field(
        "HELIOGRAPH_CHECKPOINT_AFTER_S", "checkpoint_after_s", 1_209_600.0, parsers.positive, "s: row on log, <= 15 d"
    ),
    Field("HELIOGRAPH_PROBE_AFTER_S", "probe_after_s", 60.0, parsers.positive, "s a refused lane stops before a probe"),
    Field(
        "HELIOGRAPH_BULK_RATE", "bulk_rate", 200.0, parsers.not_negative, "recipients/s a worker expands; 0: no limit"
    ),
    Field("HELIOGRAPH_CALL_CONCURRENCY", "call_concurrency", 20, parsers.count, "most calls at once, per account"),
    Field(
        "HELIOGRAPH_INTERNAL_HOST", "internal_host", "127.0.0.1", str, "address of health and metrics, the bridge's too"
    ),
    Field("HELIOGRAPH_INTERNAL_PORT", "internal_port", 9102, parsers.port, "health and metrics of a process"),
    Field("HELIOGRAPH_BRIDGE_PORT", "bridge_port", 9103, parsers.port, "the bridge's /metrics"),
    Field(
        "HELIOGRAPH_LOG_LEVEL",
        "log_level",
        "info",
        parsers.choice("debug", "info", "warning", "error"),
        "least level logged",
    ),
    Field("PORT", "port", 8080, parsers.port, "the public port of the ingress"),
    Field("TWILIO_ACCOUNT_SID", "account_sid", "", str, "tenant default: AC..."),
    Field(
        "TWILIO_AUTH_TOKEN",
        "auth_tokens",
        (),
        parsers.secrets,
        "tenant default: token, several during rotation",
        secret=True,
    ),
    Field("TWILIO_API_KEY_SID", "api_key_sid", "", str, "tenant default: SK..., for sending (optional)"),
    Field(
        "TWILIO_API_KEY_SECRET",
        "api_key_secret",
        Secret(""),
        Secret,
        "tenant default: the API key's secret",
        secret=True,
    ),
    Field("TWILIO_MESSAGING_SERVICE_SID", "messaging_service_sid", "", str, "tenant default: sender MG... (wins)"),
    Field("TWILIO_FROM_NUMBER", "from_number", "", str, "tenant default: sender number"),
    Field("TWILIO_STATUS_CALLBACK_URL", "status_callback_url", "", str, "tenant default: public URL of /twilio/status"),
    Field("TWILIO_INBOUND_WEBHOOK_PUBLIC_URL", "inbound_url", "", str, "tenant default: public URL of /twilio/inbound"),
    Field("TWILIO_API_BASE_URL", "api_base_url", "", str, "another server than api.twilio.com"),
)
# Two checkpoints within the 30 days that the contact log is kept: no contact is ever without one.
MAX_CHECKPOINT_S = 15 * 86_400


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute per entry of `FIELDS`, of the type its reader gives."""

    kafka: str
    kafka_protocol: str
    sasl_mechanism: str
    sasl_username: str
    sasl_password: str
    ssl_cafile: str
    config: str
    topic_prefix: str
    app_id: str
    partitions: int
    replication: int
    data_dir: Path
    spool_dir: Path
    database_url: Secret
    read_model_dir: Path
    read_model_port: int
    pseudonym_key: bytes
    seal_keys: dict[str, bytes]
    api_key_store: Path
    api_rate: float
    api_address_rate: float
    trusted_proxies: tuple[str, ...]
    rate: float
    keyword_replies: str
    mode: Literal["live", "sandbox"]
    allow: tuple[Secret, ...]
    session_timeout_s: float
    stall_timeout_s: float
    claim_ttl_s: float
    http_timeout_s: float
    http_connect_s: float
    http_read_s: float
    doubt_after_s: float
    outcome_grace_s: float
    look_after_s: tuple[float, ...]
    doubt_look_after_s: tuple[float, ...]
    inbound_look_s: float
    checkpoint_after_s: float
    probe_after_s: float
    bulk_rate: float
    call_concurrency: int
    internal_host: str
    internal_port: int
    bridge_port: int
    log_level: str
    port: int
    account_sid: str
    auth_tokens: tuple[str, ...]
    api_key_sid: str
    api_key_secret: str
    messaging_service_sid: str
    from_number: str
    status_callback_url: str
    inbound_url: str
    api_base_url: str

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """From a mapping such as os.environ. Raises SettingsError with every fault."""
        settings, faults = cls.looked_at(env)
        if faults:
            raise SettingsError(faults)
        return settings

    @classmethod
    def looked_at(cls, env: Mapping[str, str]) -> tuple["Settings", tuple[str, ...]]:
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
