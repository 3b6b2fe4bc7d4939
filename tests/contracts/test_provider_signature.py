"""Our signature check against Twilio's own validator as the judge, and its answers to what nobody should send."""

import hashlib
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from app.provider.webhooks import (
    MAX_BODY_BYTES,
    MAX_FIELDS,
    BadForm,
    digest_of,
    read_form,
    signature,
    variants,
    verified,
    verified_json,
)

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
    assert verified_json(secrets, sent, url, body) is False


@given(SECRETS, urls(), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_a_json_body_is_accepted_exactly_when_twilios_validator_accepts_it(
    secret: str, url: str, body: str, changed: bool
) -> None:
    digest = hashlib.sha256(body.encode()).hexdigest()
    url += f"{'&' if '?' in url else '?'}bodySHA256={digest}"
    received = body + "x" * changed
    sent = signature(secret, url, ())
    theirs = RequestValidator(secret).validate(url, received, sent)
    assert verified_json([secret], sent, url, received.encode()) == theirs == (not changed)


@given(FORMS)
def test_a_form_is_read_as_it_was_written_blanks_and_repeats_kept(form: list) -> None:
    body = urlencode(form).encode()
    assert read_form(body) == form


@given(st.text(st.sampled_from("ab=&+%20cF"), max_size=60))
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(BadForm):
            read_form(text.encode())
    else:
        assert read_form(text.encode()) == expected


BAD_FORMS = {
    "too long": (b"Body=" + b"x" * MAX_BODY_BYTES, 413),
    "too many fields": (b"&".join(b"a=1" for _ in range(MAX_FIELDS + 1)), 400),
    "no ASCII": ("Body=ü".encode(), 400),
    "no UTF-8 once unquoted": (b"Body=%FF%FE", 400),
    "a lone surrogate": (b"Body=%ED%A0%80", 400),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_twilio_would_not_send_is_refused_without_showing_it(name: str) -> None:
    body, status = BAD_FORMS[name]
    with pytest.raises(BadForm) as refused:
        read_form(body)
    assert refused.value.status == status
    assert "Body" not in refused.value.rule


def test_a_form_of_the_greatest_size_is_read() -> None:
    assert len(read_form(b"&".join(b"a=%d" % n for n in range(MAX_FIELDS)))) == MAX_FIELDS


SETTINGS = {
    "": "sha1",
    "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256": "sha256",
    "key=webhooks_sharedkey_1, algorithm=hmac_sha1": "sha1",
    "key=webhooks_sharedkey_1": "sha1",
    "algorithm=HMAC_MD5": "",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_settings_header_names_the_algorithm_and_an_unknown_one_is_never_accepted(settings: str) -> None:
    digest = digest_of(settings)
    assert digest == SETTINGS[settings]
    url = "https://hooks.example.com/twilio/status"
    assert verified(["s"], signature("s", url, (), digest or "md5"), variants(url), (), digest) == bool(digest)
