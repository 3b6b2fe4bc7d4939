"""`heliograph doctor --public`: a signed webhook through the real public URL, which must then be found on the log.

It is a callback that names nothing of ours, so the door keeps it as a dead letter, sealed, and nobody's consent or
message is touched. The letters are marked as dropped by `doctor` once they are found.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urldefrag, urlencode

import aiohttp
import msgspec

from app import clock
from app.cli.queries.dead_letters import DeadLetterView, append, handled, topic_of
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.kafka.client import client_settings
from app.kafka.topic_io import follow
from app.provider.account.desired_state import webhooks
from app.provider.account.findings import Finding, Name
from app.provider.webhooks import signature
from app.records.dead_letters import NotifyDeadletter, open_letter
from app.records.seal import Sealer, UnsealError

# As Twilio waits for an answer; then as long again for a door that had to mend its way to Kafka.
ANSWER_S, FOUND_S, AGAIN_S = 15.0, 15.0, 0.5
BACK_MS = 300_000
MARK = "HeliographProbe"


class ProbeResult(NamedTuple):
    """One webhook of a tenant; `nonce` is in its form. `status`: the door answers it 204, the others TwiML."""

    tenant: str
    field: str
    url: str
    nonce: str
    status: bool


def probes(tenant: Tenant) -> list[ProbeResult]:
    """One for each URL that is configured."""
    urls = webhooks(tenant)
    given = (("status_callback_url", urls.status), ("inbound_url", urls.inbound), ("fallback_url", urls.fallback))
    return [
        ProbeResult(tenant.name, field, urldefrag(url)[0], clock.new_id(), field == "status_callback_url")
        for field, url in given
        if url
    ]


async def probe(settings: Settings, tenants: Sequence[Tenant], found_s: float = FOUND_S) -> list[Finding]:
    """What stands between Twilio and the log, which is read for `found_s`. Raises KafkaError."""
    since_ms = clock.now_ms() - BACK_MS
    sent = [(one, await _answer(tenant, one)) for tenant in tenants for one in probes(tenant)]
    found = [finding for _, finding in sent if finding is not None]
    passed = {one.nonce: one for one, finding in sent if finding is None}
    letters = await _letters(settings, set(passed), since_ms, found_s)
    if letters:
        await append(settings, [(letter, handled(letter, "dropped", "doctor")) for letter in letters.values()])
    return found + [
        _finding(one, Name.PROBE_LOST, f"was answered well, and is not on {topic_of(settings)} after {found_s:g} s")
        for nonce, one in passed.items()
        if nonce not in letters
    ]


async def _answer(tenant: Tenant, one: ProbeResult) -> Finding | None:
    """What is wrong with the answer; None if it is the door's."""
    form = {"AccountSid": tenant.account_sid, "MessageSid": "SM" + one.nonce, MARK: one.nonce}
    form |= {"MessageStatus": "sent"} if one.status else {"Body": ""}
    signed = signature("".join(tenant.auth_tokens[0]), one.url, list(form.items()))
    headers = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session,
            session.post(one.url, data=urlencode(form), headers=headers, allow_redirects=False) as answer,
        ):
            return _judged(one, answer.status, answer.content_type)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _finding(one, Name.PROBE_UNREACHABLE, f"could not be reached ({type(error).__name__})")


def _judged(one: ProbeResult, status: int, kind: str) -> Finding | None:
    if 300 <= status < 400:
        return _finding(one, Name.PROBE_REFUSED, f"is redirected ({status}), which turns Twilio's POST into a GET")
    if status == 403:
        return _finding(one, Name.PROBE_REFUSED, "is refused with 403: the door verifies another URL or another token")
    if status >= 400:
        return _finding(one, Name.PROBE_REFUSED, f"is answered with {status}")
    if not one.status and kind == "text/plain":
        return _finding(one, Name.PROBE_REFUSED, "is answered as text/plain, which Twilio would text to the person")
    return None


def _finding(one: ProbeResult, name: Name, problem: str) -> Finding:
    return Finding(name=name, tenant=one.tenant, where=one.field, problem=problem)


async def _letters(settings: Settings, nonces: set[str], since_ms: int, found_s: float) -> dict[str, DeadLetterView]:
    """By nonce, as soon as all are there, or when it has taken too long."""
    found: dict[str, DeadLetterView] = {}
    end = clock.boot_s() + found_s
    while found.keys() < nonces and clock.boot_s() < end:
        async for nonce, letter in _read(settings, nonces, since_ms):
            found[nonce] = letter
        if found.keys() < nonces:
            await asyncio.sleep(AGAIN_S)
    return found


async def _read(settings: Settings, nonces: set[str], since_ms: int) -> AsyncIterator[tuple[str, DeadLetterView]]:
    sealer = Sealer(settings.seal_keys)
    read = follow(topic_of(settings), client_settings(settings), from_start=True, forever=False, since_ms=since_ms)
    async for record, value in read:
        if value.get("type") == "notify.deadletter.v1" and value["source"].startswith("ingress-"):
            kept = msgspec.convert(value, NotifyDeadletter)
            if nonce := next((nonce for nonce in nonces if nonce.encode() in _payload(sealer, kept)), ""):
                place: dict[str, Any] = {"partition": record.partition, "key": record.key}
                yield nonce, DeadLetterView(letter_id=f"{record.partition}-{record.offset}", record=kept, **place)


def _payload(sealer: Sealer, letter: NotifyDeadletter) -> bytes:
    """What was in it; nothing if it is sealed by a key of somebody else's."""
    try:
        return open_letter(sealer, letter).value or b""
    except UnsealError:
        return b""
