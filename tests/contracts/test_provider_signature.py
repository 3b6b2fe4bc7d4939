"""Our signature check against Twilio's own validator as the judge, and its answers to what nobody should send."""

import hashlib
import json
import re
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator, get_signature_algorithm

from app.provider.webhook_forms import MAX_BODY_BYTES, MAX_FIELDS, WebhookFormError, fields_of, read_form, read_json
from app.provider.webhooks import Keyring, settings_of, signature, variants, verified, verified_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANYTHING = st.text(max_size=40)
FORMS = st.lists(st.tuples(TEXT, TEXT), max_size=8)
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
HOSTS = st.sampled_from(["hooks.example.com", "a.example.org", "127.0.0.1", "localhost"])
PORTS = st.sampled_from(["", ":443", ":80", ":8443"])
QUERIES = st.dictionaries(TEXT.map(quote), TEXT.map(quote), min_size=1, max_size=3)
DIGESTS = {"sha1": "HMAC_SHA1", "sha256": "HMAC_SHA256"}


@st.composite
def urls(draw: st.DrawFn) -> str:
    """As a tenant would configure them: no userinfo, no IPv6, no empty query."""
    scheme, query = draw(st.sampled_from(["https", "http"])), draw(st.none() | QUERIES)
    path = quote(draw(TEXT))
    tail = "?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else ""
    return f"{scheme}://{draw(HOSTS)}{draw(PORTS)}/{path}{tail}"


class Multi(dict[str, list[str]]):
    """Repeated names, as the SDK's validator takes them."""

    def __init__(self, form: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in form:
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]


@given(SECRETS, urls(), FORMS, st.sampled_from(sorted(DIGESTS)))
def test_what_we_sign_is_what_twilios_library_signs(secret: str, url: str, form: list, digest: str) -> None:
    theirs = RequestValidator(secret).compute_signature(url, Multi(form), DIGESTS[digest])
    assert signature(secret, url, form, digest) == theirs


@given(SECRETS, urls(), urls(), FORMS, FORMS, st.booleans())
def test_we_accept_exactly_what_twilios_validator_accepts(
    secret: str, signed: str, asked: str, form: list, other: list, same: bool
) -> None:
    url, received = (signed, form) if same else (asked, other)
    sent = signature(secret, signed, form)
    theirs = RequestValidator(secret).validate(url, Multi(received), sent)
    assert verified([secret], sent, variants(url), received) == theirs


@given(SECRETS, st.sampled_from(["https", "http"]), HOSTS, FORMS, st.booleans())
def test_a_default_port_at_either_end_makes_no_difference(
    secret: str, scheme: str, host: str, form: list, ours: bool
) -> None:
    port = {"https": ":443", "http": ":80"}[scheme]
    bare, full = f"{scheme}://{host}/twilio/status", f"{scheme}://{host}{port}/twilio/status"
    configured, signed = (full, bare) if ours else (bare, full)
    assert verified([secret], signature(secret, signed, form), variants(configured), form)


@given(SECRETS, SECRETS, urls(), FORMS)
def test_any_live_secret_will_do_during_a_rotation(old: str, new: str, url: str, form: list) -> None:
    for secret in (old, new):
        assert verified([old, new], signature(secret, url, form), variants(url), form)
    assert verified([new], signature(old, url, form), variants(url), form) == (old == new)


@given(urls(), FORMS, ANYTHING)
def test_without_a_secret_nothing_is_accepted(url: str, form: list, sent: str) -> None:
    assert not verified([], sent, variants(url), form)
    assert not verified([""], signature("", url, form), variants(url), form)


@given(st.lists(ANYTHING, max_size=3), ANYTHING, ANYTHING, st.lists(st.tuples(ANYTHING, ANYTHING)), st.binary())
def test_a_check_of_anything_at_all_ends_in_yes_or_no(
    secrets: list, sent: str, url: str, form: list, body: bytes
) -> None:
    assert verified(secrets, sent, variants(url), form) is False
    assert verified_json(secrets, sent, variants(url), body) is False
    assert settings_of(sent).digest in ("", "sha1", "sha256")


@given(SECRETS, urls(), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_a_json_body_is_accepted_exactly_when_twilios_validator_accepts_it(
    secret: str, url: str, body: str, changed: bool
) -> None:
    digest = hashlib.sha256(body.encode()).hexdigest()
    url += f"{'&' if '?' in url else '?'}bodySHA256={digest}"
    received = body + "x" * changed
    sent = signature(secret, url, ())
    theirs = RequestValidator(secret).validate(url, received, sent)
    assert verified_json([secret], sent, variants(url), received.encode()) == theirs == (not changed)


@given(FORMS)
def test_a_form_is_read_as_it_was_written_blanks_and_repeats_kept(form: list) -> None:
    body = urlencode(form).encode()
    assert read_form(body) == form


@given(st.text(st.sampled_from("ab=&+%20cF"), max_size=60))
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = parse_qsl(text, keep_blank_values=True, errors="strict")
        good = not re.search("%(?![0-9A-Fa-f]{2})", text)
    except UnicodeDecodeError:
        good = False
    if not good:
        with pytest.raises(WebhookFormError):
            read_form(text.encode())
    else:
        assert read_form(text.encode()) == expected


BAD_FORMS = {
    "too long": (b"Body=" + b"x" * MAX_BODY_BYTES, 413),
    "too many fields": (b"&".join(b"a=1" for _ in range(MAX_FIELDS + 1)), 400),
    "no ASCII": ("Body=ü".encode(), 400),
    "a % without hex digits": (b"Body=100%", 400),
    "no UTF-8 once unquoted": (b"Body=%FF%FE", 400),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_twilio_would_not_send_is_refused_without_showing_it(name: str) -> None:
    body, status = BAD_FORMS[name]
    with pytest.raises(WebhookFormError) as refused:
        read_form(body)
    assert refused.value.status == status
    assert "Body" not in refused.value.rule


def test_a_form_of_the_greatest_size_is_read() -> None:
    assert len(read_form(b"&".join(b"a=%d" % n for n in range(MAX_FIELDS)))) == MAX_FIELDS


SETTINGS = {
    "": ("", "sha1"),
    "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256": ("webhooks_sharedkey_1", "sha256"),
    "key=webhooks_sharedkey_1, algorithm=hmac_sha1": ("webhooks_sharedkey_1", "sha1"),
    "key=webhooks_sharedkey_1": ("webhooks_sharedkey_1", "sha1"),
    "algorithm=,algorithm=HMAC_SHA256,algorithm=HMAC_SHA1": ("", "sha256"),
    "algorithm=HMAC_MD5": ("", ""),
}


@pytest.mark.parametrize("header", SETTINGS)
def test_the_settings_header_names_key_and_algorithm_and_an_unknown_one_is_never_accepted(header: str) -> None:
    settings = settings_of(header)
    assert (settings.key, settings.digest) == SETTINGS[header]
    url = "https://hooks.example.com/twilio/status"
    sent = signature("s", url, (), settings.digest or "md5")
    assert verified(["s"], sent, variants(url), (), settings.digest) == bool(settings.digest)


PARTS = st.sampled_from(
    ["algorithm=HMAC_SHA256", "algorithm=hmac_sha1", "algorithm", "algorithm=", "key=k", " ", "x=y"]
)


@given(st.lists(PARTS | ANYTHING, max_size=5).map(",".join))
def test_the_algorithm_is_the_one_that_twilios_library_reads(header: str) -> None:
    theirs = get_signature_algorithm(header).upper()
    known = {name: digest for digest, name in DIGESTS.items()}
    assert settings_of(header).digest == known.get(theirs, "")


def test_a_shared_key_that_is_named_is_the_only_one_tried_and_one_that_is_none_of_ours_leaves_all() -> None:
    keys = Keyring(("token", ""), {"k1": "one", "k2": "two"})
    assert keys.live("k2") == ("two",)
    assert keys.live("") == keys.live("k3") == ("token", "one", "two")
    assert "token" not in repr(keys)


# Where Twilio's own validator differs: what it is asked with, and whether it accepts, refuses or raises. We accept the
# first three, for the secret did sign that very URL, and refuse the others.
URL = "https://hooks.example.com/twilio/status"
DIFFERENCES = {
    "a bare ? at the end, which its normalisation loses": (f"{URL}?", {}, False, True),
    "an upper-case scheme, which its normalisation lowers": (URL.replace("https", "HTTPS"), {}, False, True),
    "an IPv6 host, garbled without its port": ("https://[::1]/twilio/status", {}, True, True),
    "text without bodySHA256": (URL, "{}", TypeError, False),
    "text with a blank bodySHA256": (f"{URL}?bodySHA256=", "{}", TypeError, False),
    "bytes with bodySHA256": (f"{URL}?bodySHA256={hashlib.sha256(b'{}').hexdigest()}", b"{}", IndexError, True),
    "a port that is no number": ("https://hooks.example.com:x/", {}, ValueError, True),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_where_twilios_validator_differs_is_known_and_we_never_raise(name: str) -> None:
    url, received, theirs, ours = DIFFERENCES[name]
    sent = signature("s", url, ())
    judge = RequestValidator("s")
    if isinstance(theirs, bool):
        assert judge.validate(url, received, sent) is theirs
    else:
        with pytest.raises(theirs):
            judge.validate(url, received, sent)
    if isinstance(received, dict):
        assert verified(["s"], sent, variants(url), ()) is ours
    else:
        raw = received if isinstance(received, bytes) else received.encode()
        assert verified_json(["s"], sent, variants(url), raw) is ours


def test_a_request_without_a_signature_is_refused_where_twilios_validator_raises() -> None:
    with pytest.raises(TypeError):
        RequestValidator("s").validate(URL, {}, None)
    assert not verified(["s"], "", variants(URL), ())


ANY_TEXT = st.text(st.characters(categories=None), max_size=9)


@given(st.dictionaries(ANY_TEXT.filter(bool), ANY_TEXT, max_size=5))
def test_a_form_with_lone_surrogates_is_verified_over_what_was_sent_and_read_without_them(form: dict[str, str]) -> None:
    body = urlencode(form, errors="surrogatepass")
    read = read_form(body.encode())
    assert verified(["s"], signature("s", URL, list(form.items())), (URL,), read)
    assert all((name + value).encode() for name, value in fields_of(read).items())


def test_json_with_lone_surrogates_is_read_without_them() -> None:
    assert read_json(b'{"Body":"STOP \\ud83d","n":{"a":"\xed\xa0\x80"}}') == [
        ("Body", "STOP \ufffd"),
        ("n", '{"a":"\ufffd"}'),
    ]


JSON_VALUES = st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2)


@given(st.dictionaries(TEXT, JSON_VALUES, max_size=8))
def test_the_fields_of_a_json_body_are_texts_and_none_is_lost(value: dict) -> None:
    read = dict(read_json(json.dumps(value).encode()))
    assert set(read) == set(value)
    for name, told in value.items():
        expected = told if isinstance(told, str) else "" if told is None else told
        assert (read[name] if isinstance(told, str) or told is None else json.loads(read[name])) == expected


BAD_JSON = {
    "no object": (b"[1]", 400),
    "broken": (b'{"a":', 400),
    "no UTF-8": (b'{"a":"\xff"}', 400),
    "too deep": (b'{"a":' + b"[" * 30_000, 400),
    "too many": (json.dumps({str(n): n for n in range(MAX_FIELDS + 1)}).encode(), 400),
    "too long": (b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}', 413),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_twilio_would_not_send_is_refused(name: str) -> None:
    body, status = BAD_JSON[name]
    with pytest.raises(WebhookFormError) as refused:
        read_json(body)
    assert refused.value.status == status


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_body_at_all_is_read_or_refused(body: bytes) -> None:
    for read in (read_form, read_json):
        try:
            assert all(isinstance(part, str) for field in read(body) for part in field)
        except WebhookFormError as bad:
            assert bad.status in (400, 413)
