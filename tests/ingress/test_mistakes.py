"""A refused webhook is explained where a secret of ours says that Twilio sent it, and changes nothing all the same."""

import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.domain.content.phone import read_address
from app.ingress.webhooks.diagnosis import MOST_TENANTS, Misconfiguration, RefusedWebhook, explain
from app.ingress.webhooks.rejections import LONGEST_EXPLAINED, Rate
from app.ingress.webhooks.routes import Kind, WebhookRoutes, read_path
from app.provider.webhooks import signature
from tests.support.ingress_server import ACME, BETA, MESSAGE, PERSON, PUBLIC, SID, door, tenant

QUERY = f"m={MESSAGE}&a=1"
FORM = [("MessageSid", SID), ("AccountSid", ACME), ("From", PERSON), ("Body", "STOP")]
CONFIGURED = f"{PUBLIC}/hooks/twilio/status"
HOOKS = WebhookRoutes(
    {
        "acme": tenant(
            "acme",
            ACME,
            status_callback_url=CONFIGURED,
            inbound_url=f"{PUBLIC}/hooks/twilio/inbound",
            api_key_secret="secret-of-the-api-key",
        ),
        "beta": tenant("beta", BETA),
    }
)


def seen(
    url: str, secret: str = "token-of-acme", form: Any = FORM, digest: str = "sha1", **given: Any
) -> RefusedWebhook:
    """What came to acme's status webhook, signed over `url` and `form`."""
    fields = {
        "kind": Kind.STATUS,
        "path": "/twilio/status",
        "query": QUERY,
        "headers": {"host": "127.0.0.1:8080"},
        "form": FORM,
        "given": signature(secret, url, form, digest),
        "digest": "sha1",
        "hook": HOOKS.find("acme", Kind.STATUS, {}),
    }
    return RefusedWebhook(**{**fields, **given})


SIGNED, HASH = f"{CONFIGURED}?{QUERY}", "ab" * 32


def seen_json(claimed: str, body_sha256: str, secret: str = "token-of-acme", path: str = "") -> RefusedWebhook:
    """The same as JSON, whose hash the signed URL claims; `path`: another one than is configured."""
    query = QUERY + (f"&bodySHA256={claimed}" if claimed else "")
    base = f"{PUBLIC}{path}" if path or secret == "token-of-beta" else CONFIGURED
    url = f"{base}/twilio/status?{query}" if secret == "token-of-beta" else f"{base}?{query}"
    return replace(seen(url, secret, ()), form=(), query=query, body_sha256=body_sha256)


EXPLAINED = {
    "http at Twilio": (seen(SIGNED.replace("https", "http")), [Misconfiguration.SCHEME]),
    "another host at Twilio": (
        seen(SIGNED.replace("hooks.example.com", "sms.example.com"), headers={"host": "sms.example.com"}),
        [Misconfiguration.HOST],
    ),
    "another host, which a proxy names": (
        seen(SIGNED.replace("hooks.example.com", "a.example.com"), headers={"x-forwarded-host": "a.example.com"}),
        [Misconfiguration.HOST],
    ),
    "a port": (
        seen(SIGNED.replace(".com", ".com:8443"), headers={"host": "hooks.example.com:8443"}),
        [Misconfiguration.PORT],
    ),
    "no prefix at Twilio": (seen(f"{PUBLIC}/twilio/status?{QUERY}"), [Misconfiguration.PREFIX]),
    "a usual prefix that a proxy strips": (seen(f"{PUBLIC}/api/hooks/twilio/status?{QUERY}"), [Misconfiguration.PREFIX]),
    "a prefix that the proxy names": (
        seen(f"{PUBLIC}/odd/twilio/status?{QUERY}", headers={"x-forwarded-prefix": "/odd"}),
        [Misconfiguration.PREFIX],
    ),
    "a slash at the end": (seen(f"{CONFIGURED}/?{QUERY}"), [Misconfiguration.SLASH]),
    "a query that is dropped at Twilio": (seen(CONFIGURED), [Misconfiguration.QUERY]),
    "a query that a proxy wrote anew": (
        seen(f"{CONFIGURED}?m=a%20b", query="m=a b", headers={}),
        [Misconfiguration.QUERY],
    ),
    "the URL of another webhook": (seen(f"{PUBLIC}/hooks/twilio/inbound?{QUERY}"), [Misconfiguration.ROUTE]),
    "empty fields dropped": (
        seen(SIGNED, form=[*FORM, *((f"{side}{part}", "") for side in ("From", "To") for part in ("City", "State", "Zip", "Country"))]),
        [Misconfiguration.BLANKS],
    ),
    "a text without its blank": (seen(SIGNED, form=[*FORM[:3], ("Body", "STOP ")]), [Misconfiguration.BLANKS]),
    "the algorithm not passed on": (seen(SIGNED, digest="sha256"), [Misconfiguration.ALGORITHM]),
    "the API key's secret": (seen(SIGNED, "secret-of-the-api-key"), [Misconfiguration.OTHER_SECRET]),
    "another tenant's secret": (seen(SIGNED, "token-of-beta"), [Misconfiguration.OTHER_TENANT]),
    "another tenant's webhook": (seen(f"{PUBLIC}/twilio/status?{QUERY}", "token-of-beta"), [Misconfiguration.OTHER_TENANT]),
    "two at once": (seen(f"http://hooks.example.com/twilio/status?{QUERY}"), [Misconfiguration.SCHEME, Misconfiguration.PREFIX]),
    "an algorithm that nobody knows": (replace(seen(SIGNED), digest=""), [Misconfiguration.ALGORITHM]),
    "the auth token, where a shared key is named": (seen(SIGNED), [Misconfiguration.ALGORITHM]),
    "JSON that was written anew": (seen_json(HASH, "00" * 32), [Misconfiguration.BODY]),
    "JSON without a hash": (seen_json("", HASH), [Misconfiguration.BODY]),
    "another tenant's JSON that was written anew": (replace(seen_json(HASH, "00" * 32, "token-of-beta"), hook=None), [Misconfiguration.OTHER_TENANT, Misconfiguration.BODY]),
    "JSON for another path": (seen_json(HASH, HASH, path="/twilio/status"), [Misconfiguration.PREFIX]),
    "a stranger": (seen(SIGNED, "nobodys-secret"), [Misconfiguration.UNKNOWN]),
    "a tenant that is not known": (seen(f"{PUBLIC}/twilio/status?{QUERY}", "token-of-beta", hook=None), [Misconfiguration.OTHER_TENANT]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_mistake_that_would_explain_a_refused_webhook_is_named(name: str) -> None:
    case, mistakes = EXPLAINED[name]
    found = explain(case, HOOKS.all)
    assert list(found.mistakes) == mistakes
    assert len(found.hints) == len(mistakes) and all(hint and "{" not in hint for hint in found.hints)


def test_every_mistake_of_the_closed_list_is_found_by_a_case_here() -> None:
    assert {mistake for _, mistakes in EXPLAINED.values() for mistake in mistakes} == set(Misconfiguration)


def test_the_operator_reads_which_path_twilio_is_told() -> None:
    [hint] = explain(seen(f"{PUBLIC}/twilio/status?{QUERY}"), HOOKS.all).hints
    assert "/twilio/status," in hint and MESSAGE not in hint


ANYTHING = st.text(max_size=30)


@given(
    ANYTHING, ANYTHING, st.dictionaries(st.sampled_from(["host", "x-forwarded-host", "x-forwarded-port"]), ANYTHING),
    st.lists(st.tuples(st.sampled_from(["Body", "FromCity", "x"]), ANYTHING), max_size=4), ANYTHING,
)  # fmt: skip
def test_anything_at_all_is_explained_as_unknown_and_never_raises(
    path: str, query: str, headers: dict, form: list, sent: str
) -> None:
    case = seen(SIGNED, path=path, query=query, headers=headers, form=form, given=sent)
    assert explain(case, HOOKS.all).mistakes == (Misconfiguration.UNKNOWN,)


def test_no_more_than_so_many_tenants_are_tried() -> None:
    many = [HOOKS.find("beta", Kind.STATUS, {}) for _ in range(MOST_TENANTS)]
    last = HOOKS.find("acme", Kind.STATUS, {})
    case = seen(SIGNED, hook=None)
    assert explain(case, [*many, last]).mistakes == (Misconfiguration.UNKNOWN,)  # type: ignore[list-item]
    assert explain(case, [*many[1:], last]).mistakes == (Misconfiguration.OTHER_TENANT,)  # type: ignore[list-item]


def test_a_rate_allows_a_burst_and_then_so_many_a_second() -> None:
    now_s = [100.0]
    rate = Rate(2.0, 3, lambda: now_s[0])
    assert [rate.allows() for _ in range(5)] == [True] * 3 + [False] * 2
    now_s[0] += 0.5
    assert [rate.allows() for _ in range(2)] == [True, False]
    now_s[0] += 3600
    assert [rate.allows() for _ in range(4)] == [True] * 3 + [False]
    assert rate.left_out == 4


async def test_p4_what_twilio_signed_for_another_url_is_refused_told_and_kept_sealed(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with door(tmp_path, status_callback_url=CONFIGURED) as made:
            answer = await made.report()  # Twilio is told a URL without /hooks
            await made.ingress.webhooks.rejections.settled()
            [letter] = made.kafka.of("notify.deadletters")
            opened = made.sealer().open(letter["payload"], "", letter["source"])
            metrics = (await made.http.get(made.internal + "/metrics")).text
    assert answer.status_code == 403 and made.kafka.of("contacts") == []
    assert (letter["field"], letter["rule"]) == ("signature", "was refused: prefix")
    assert urlencode({"To": PERSON}).encode() in opened and SID.encode() in opened
    assert 'heliograph_ingress_mistakes_total{mistake="prefix"} 1.0' in metrics
    assert 'heliograph_ingress_rejected_total{route="status",why="signature"} 1.0' in metrics
    [told] = [line for line in lines if line["event"] == "webhook.explained"]
    assert (told["mistakes"], told["tenant"], told["of"]) == (["prefix"], "acme", "acme")
    assert "4155550123" not in repr(lines)


async def test_p8_what_nobody_signed_leaves_a_hash_and_a_count_and_few_lines(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with door(tmp_path) as made:
            for n in range(30):
                form = {
                    "MessageSid": SID,
                    "AccountSid": ACME if n else PERSON,
                    "Body": "my secret text",
                    "From": PERSON,
                }
                assert (await made.post("/twilio/inbound", form, "nobodys-secret")).status_code == 403
            await made.ingress.webhooks.rejections.settled()
            assert made.kafka.records == []
            assert made.ingress.webhooks.rejections.counts["inbound", "signature"] == 29
            assert made.ingress.webhooks.rejections.counts["inbound", "unknown_tenant"] == 1
    told = [line for line in lines if line["event"] == "webhook.rejected"]
    assert 0 < len(told) < 30 and len([line for line in lines if line["event"] == "webhook.explained"]) < 30
    assert {line["account"] for line in told} == {"", ACME} and all(len(line["body_sha256"]) == 16 for line in told)
    assert "my secret text" not in repr(lines) and "4155550123" not in repr(lines)


async def test_a_request_without_a_signature_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    from tests.support.wire import exchange, head

    async with door(tmp_path) as made:
        given = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "60000"}
        answer = await exchange(made.http.base_url, head("POST", "/twilio/status", given))
        assert answer is not None and answer.status_code == 403
        assert made.ingress.webhooks.rejections.counts["status", "unsigned"] == 1


async def test_p8_a_body_that_its_signed_url_does_not_name_is_explained_and_not_kept(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with door(tmp_path) as made:
            path = f"/twilio/status?{QUERY}&bodySHA256={HASH}"
            headers = {"X-Twilio-Signature": signature("token-of-acme", PUBLIC + path, ())}
            answer = await made.http.post(path, json={"AccountSid": ACME, "Body": "somebody's"}, headers=headers)
            await made.ingress.webhooks.rejections.settled()
            assert (answer.status_code, made.kafka.records) == (403, [])
            assert made.ingress.webhooks.rejections.mistakes == {"body": 1}
    [told] = [line for line in lines if line["event"] == "webhook.explained"]
    assert told["mistakes"] == ["body"] and told["of"] == "acme"


async def test_a_body_longer_than_any_of_twilios_is_counted_and_nobody_tries_to_explain_it(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for more in (LONGEST_EXPLAINED // 2, LONGEST_EXPLAINED):
            form = {"AccountSid": ACME, "Body": "x" * more}
            assert (await made.post("/twilio/inbound", form, "nobodys-secret")).status_code == 403
        await made.ingress.webhooks.rejections.settled()
        assert made.ingress.webhooks.rejections.counts["inbound", "signature"] == 2
        assert made.ingress.webhooks.rejections.mistakes == {"unknown": 1}


@pytest.mark.parametrize(
    ("read", "text"), [(read_address, "+1415{n}{x}"), (read_path, "/twilio/{x}{n}/status")], ids=["address", "path"]
)
def test_what_strangers_send_is_read_and_not_remembered_however_long_it_is(read: Any, text: str) -> None:
    tracemalloc.start()
    try:
        for n in range(100):
            read(text.format(n=n, x="x" * 60_000))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most > 60_000 > kept, "of the six megabytes that came"
