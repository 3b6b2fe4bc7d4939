"""Rejected webhooks: all counted, logged at a limited rate, and diagnosed outside the hot path.

An unverified webhook leaves its hash, its AccountSid and a count. Its body is kept, sealed, as a dead letter only if
the diagnosis shows that it was signed with a secret that we hold (see `diagnosis.py`).
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec

from app import clock, telemetry
from app.ingress.durable.record import LogRecord
from app.ingress.durable.writer import LogUnavailableError, LogWriter
from app.ingress.webhooks.diagnosis import Misconfiguration, RefusedWebhook, SignatureDiagnosis, explain
from app.ingress.webhooks.routes import WebhookRoutes
from app.records.dead_letters import LostRecord, dead_letter
from app.records.seal import Sealer
from app.records.topics import Topics

_log = telemetry.logger(__name__)
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}\Z")
_encode = msgspec.json.Encoder().encode
# What was signed is not this body, or not by a secret of ours.
UNVERIFIED = {Misconfiguration.UNKNOWN, Misconfiguration.BODY}
# A line a second tells an operator enough; an explanation costs some milliseconds.
LINES_PER_S, EXPLAINED_PER_S, BURST = 1.0, 1.0, 5
# Longer than what Twilio sends: 1,600 characters of 12 bytes each, with all that comes beside them. Every try at an
# explanation hashes the whole, so a stranger could have us hash a hundred megabytes for 64 kB.
LONGEST_EXPLAINED = 24 * 1024


class RejectionReason(StrEnum):
    """Why a webhook was answered with 403. A closed list, because it is a metric label."""

    UNSIGNED = "unsigned"
    UNKNOWN_TENANT = "unknown_tenant"
    NO_URL = "no_url"
    SIGNATURE = "signature"


class Rate:
    """A token bucket: `per_s` permits a second, `burst` at once. `left_out`: permits denied since the last one."""

    def __init__(self, per_s: float, burst: int, now_s: Callable[[], float] = clock.boot_s) -> None:
        self._per_s, self._burst, self._now_s = per_s, burst, now_s
        self._room, self._at_s = float(burst), now_s()
        self.left_out = 0

    def allows(self) -> bool:
        """Take a permit; False if none is left."""
        now_s = self._now_s()
        self._room = min(self._burst, self._room + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._room < 1:
            self.left_out += 1
            return False
        self._room -= 1
        return True


class Rejections:
    """Counts, logs and diagnoses rejected webhooks. `counts`: by kind and reason; `mistakes`: by diagnosed cause."""

    def __init__(self, log: LogWriter, sealer: Sealer, topics: Topics) -> None:
        self._log, self._sealer, self._topics = log, sealer, topics
        self._lines, self._explanations = Rate(LINES_PER_S, BURST), Rate(EXPLAINED_PER_S, BURST)
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.mistakes: Counter[str] = Counter()

    def add(self, kind: str, why: RejectionReason, body: bytes = b"", account: str = "", tenant: str = "") -> None:
        """Count a rejected webhook, and log it unless the rate limit of the log is reached."""
        self.counts[kind, why] += 1
        if not self._lines.allows():
            return
        _log.warning(
            "webhook.rejected",
            kind=kind,
            why=why.value,
            tenant=tenant,
            account=account if _ACCOUNT.match(account) else "",
            bytes=len(body),
            body_sha256=hashlib.sha256(body).hexdigest()[:16],
            left_out=self._lines.left_out,
        )
        self._lines.left_out = 0

    def explain(self, seen: RefusedWebhook, body: bytes, hooks: WebhookRoutes) -> None:
        """Start a diagnosis in the background, unless the rate limit is reached or the body is too long."""
        if len(body) <= LONGEST_EXPLAINED and self._explanations.allows():
            task = asyncio.get_running_loop().create_task(self._explain(seen, body, hooks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until all diagnoses in progress have ended."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def _explain(self, seen: RefusedWebhook, body: bytes, hooks: WebhookRoutes) -> None:
        found = await asyncio.to_thread(explain, seen, tuple(hooks.all))
        self.mistakes.update(mistake.value for mistake in found.mistakes)
        asked = seen.hook.tenant.name if seen.hook else ""
        names = [mistake.value for mistake in found.mistakes]
        _log.warning(
            "webhook.explained", kind=seen.kind, tenant=asked, mistakes=names, hints=list(found.hints), of=found.tenant
        )
        if not UNVERIFIED & set(found.mistakes):
            await self._keep(seen, body, found)

    async def _keep(self, seen: RefusedWebhook, body: bytes, found: SignatureDiagnosis) -> None:
        """Keep a webhook that Twilio sent as a sealed dead letter. It changes no state, since it was not verified."""
        raw, place = (
            _encode({"tenant": found.tenant, "query": seen.query, "body": body.decode("latin-1")}),
            clock.new_id(),
        )
        rule = f"was refused: {', '.join(mistake.value for mistake in found.mistakes)}"
        value, made = dead_letter(
            self._sealer, LostRecord("ingress", place, None, raw, clock.now_ms()), "signature", rule
        )
        try:
            await self._log.put(LogRecord(self._topics.deadletters, f"ingress-{place}".encode(), value, made))
        except LogUnavailableError:
            _log.warning("webhook.not_kept", kind=seen.kind)
