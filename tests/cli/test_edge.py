"""`heliograph errors` and `heliograph sign`: real processes."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from twilio.request_validator import RequestValidator

from app.domain.model.effects import LaneSlowed
from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, OutcomeWord, Stage
from app.provider.error_advice import ADVICE, every
from app.provider.error_enrichment import INVALID_AFTER
from app.provider.status_mapping import ERRORS, entries, error_class
from app.provider.webhooks import body_hash
from tests.support.commands import faults, heliograph
from tests.support.given import START_MS, ContactLog, given, pictured, refused, report, requested, taken, turn
from tests.support.words import leaves

URL = "https://hooks.example.com/twilio/status?m=1&a=2"
TOKEN = {
    "TWILIO_AUTH_TOKEN": "first,second",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_FROM_NUMBER": "+15005550006",
}


def test_every_code_of_the_table_is_explained() -> None:
    rows = [json.loads(line) for line in heliograph("errors", "--json").stdout.splitlines()]
    assert {row["code"] for row in rows} == set(ERRORS) and len(rows) > 90
    assert [row for row in rows if not (row["meaning"] and row["met"] and row["here"] and row["yours"])] == []


def test_the_meaning_of_a_code_is_what_happened_not_what_is_done_about_it() -> None:
    actions = {entry["code"]: entry["action"] for entry in entries()}
    assert [row["code"] for row in every() if row["meaning"] == actions[row["code"]]] == []
    assert {row["code"]: row["meaning"] for row in every()}[30610] == "Quiet hours at the recipient's place"


def told(error: ErrorClass) -> ContactLog:
    """A request with media and a link; its call was taken, then it failed by a code of this class."""
    stamped = {"invalid_after": 1 if error is ErrorClass.NUMBER_INVALID else 0, "hold_until_ms": START_MS + 60_000}
    return given(pictured(), turn(), taken(), report(DeliveryStatus.FAILED, code=1, error=error, **stamped))


@pytest.mark.parametrize("error", ErrorClass)
def test_every_class_has_advice_and_it_says_what_the_fold_does(error: ErrorClass) -> None:
    log, here = told(error), ADVICE[error].here
    assert ("further attempt" in here) is (log.message().stage is Stage.RETRYING)
    slowed = any(isinstance(effect, LaneSlowed) for effect in log.effects)
    assert ("the lane stops" in here or "lane slows" in here) is slowed
    assert (error in (ErrorClass.NUMBER_INVALID, ErrorClass.NUMBER_UNREACHABLE)) is ("number is recorded" in here)
    assert ("never sent again" in here) is bool(log.contact.filtered)
    assert ("opt-out is recorded" in here) is log.contact.consent.opted_out
    later = log.then(requested("b" * 20)).message("b" * 20)
    assert ("suppressed" in here) is (later.word is OutcomeWord.SUPPRESSED)


@pytest.mark.parametrize("error", ErrorClass)
def test_refused_calls_too_are_tried_again_where_the_advice_says_so(error: ErrorClass) -> None:
    log = given(pictured(), turn(), refused(error, hold_until_ms=START_MS + 60_000))
    # A call whose validity ran out before it was made does not exist.
    assert (log.message().stage is Stage.RETRYING) is (
        "further attempt" in ADVICE[error].here and error is not ErrorClass.EXPIRED
    )


def test_every_command_that_advice_names_is_there_and_a_set_up_has_one_that_looks_at_it() -> None:
    known = [words for words, _ in leaves()]
    named = [words for advice in ADVICE.values() for words in re.findall(r"heliograph ([a-z ]+)", " ".join(advice))]
    assert len(named) > 4
    assert [words for words in named if not any(f"{words} ".startswith(f"{leaf} ") for leaf in known)] == []
    assert "heliograph twilio check" in ADVICE[ErrorClass.CONFIGURATION].yours


@pytest.mark.parametrize(("code", "after"), INVALID_AFTER.items())
def test_how_many_failures_make_a_number_invalid_is_told(code: int, after: int) -> None:
    assert f"{after} for {code}" in ADVICE[ErrorClass.NUMBER_UNREACHABLE].here


def test_a_code_is_told_in_words() -> None:
    said = heliograph("errors", "30007").stdout
    assert "filtered" in said and "never sent again" in said and "docs/api/errors/30007" in said


def test_only_the_codes_of_a_class_are_listed() -> None:
    listed = heliograph("errors", "--class", "throttled").stdout.splitlines()
    assert [int(line.split()[0]) for line in listed] == [r["code"] for r in every() if r["class"] == "throttled"]


def test_of_a_code_on_no_list_it_is_told_what_becomes_of_its_message_and_it_is_a_problem() -> None:
    done, lined = heliograph("errors", "99999"), heliograph("errors", "99999", "--json")
    assert (done.returncode, done.stderr) == (lined.returncode, lined.stderr)
    assert (done.returncode, faults(done)) == (1, ["code 99999 is on no list here"])
    row = json.loads(lined.stdout)
    assert row["class"] == error_class(99999) and row["here"].startswith(ADVICE[ErrorClass.UNKNOWN].here)
    assert "not sent again" in done.stdout and "docs/api/errors/99999" in done.stdout
    assert set(row) == set(next(every()))


def test_a_class_that_no_code_has_is_answered_with_those_there_are() -> None:
    done = heliograph("errors", "--class", "odd")
    known = ", ".join(sorted({ERRORS[entry["code"]] for entry in entries() if entry["stage"] in ("C", "D", "C/D")}))
    assert (done.returncode, faults(done)) == (2, [f"--class: odd is none of {known}"])


def test_not_found_says_of_a_look_up_that_there_is_no_such_thing() -> None:
    said = heliograph("errors", "20404").stdout
    assert "the lane stops" in said and "there is no such thing" in said


def test_a_signature_is_the_one_that_twilios_own_validator_takes() -> None:
    fields = {"MessageStatus": "sent", "Body": "a b = ü", "Empty": ""}
    done = heliograph("sign", URL, *(f"{name}={value}" for name, value in fields.items()), "--json", **TOKEN)
    given = json.loads(done.stdout)["X-Twilio-Signature"]
    assert RequestValidator("first").validate(URL, fields, given)


def test_the_fragment_of_connection_overrides_is_not_signed() -> None:
    plain, with_overrides = (heliograph("sign", url, "A=1", **TOKEN).stdout for url in (URL, f"{URL}#rc=5&rp=all"))
    assert plain == with_overrides and plain.startswith("X-Twilio-Signature: ")


def test_a_json_body_is_signed_by_its_hash_in_the_url_it_is_to_be_posted_to(tmp_path: Path) -> None:
    body = '{"MessageStatus": "sent"}'
    (tmp_path / "body.json").write_text(body)
    for sent in (body, f"@{tmp_path / 'body.json'}"):
        told = json.loads(heliograph("sign", f"{URL}#rc=5", "--data", sent, "--json", **TOKEN).stdout)
        assert RequestValidator("first").validate(told["url"], body, told["headers"]["X-Twilio-Signature"])
        assert told["url"].startswith(f"{URL}&bodySHA256=")
    plain = heliograph("sign", URL, "--data", body, **TOKEN)
    assert plain.stderr == f"post to {told['url']}\n" and "Content-Type: application/json" in plain.stdout


@pytest.mark.parametrize(
    "old", ["m=1&bodySHA256=abc&a=2", "bodySHA256=abc&m=1&a=2&bodySHA256=", "m=1&a=2&body%53HA256=x"]
)
def test_the_hash_of_another_body_in_the_url_is_replaced(old: str) -> None:
    body = '{"MessageStatus": "sent"}'
    fresh, again = (
        json.loads(heliograph("sign", url, "--data", body, "--json", **TOKEN).stdout)
        for url in (URL, f"{URL.partition('?')[0]}?{old}")
    )
    assert again == fresh and body_hash(again["url"].partition("?")[2]) == hashlib.sha256(body.encode()).hexdigest()


@pytest.mark.parametrize("body", ["nojson", "[1]", ""])
def test_a_body_that_the_ingress_refuses_is_signed_and_that_is_said(body: str) -> None:
    done = heliograph("sign", URL, "--data", body, "--json", **TOKEN)
    said = "warning: --data: body is not a JSON object in UTF-8: the ingress refuses it (400)\n"
    assert (done.returncode, done.stderr) == (0, said) and "bodySHA256=" in json.loads(done.stdout)["url"]


def test_the_only_tenant_signs_and_of_several_one_must_be_named(tmp_path: Path) -> None:
    config = tmp_path / "tenants.toml"
    table = '[tenants.{0}]\nauth_tokens = ["{0}s"]\n[tenants.{0}.lanes.main]\nfrom_number = "+15005550006"\n'
    config.write_text(table.format("acme"))
    env = {"HELIOGRAPH_CONFIG": str(config)}
    given = json.loads(heliograph("sign", URL, "A=1", "--json", **env).stdout)["X-Twilio-Signature"]
    assert RequestValidator("acmes").validate(URL, {"A": "1"}, given)
    config.write_text(table.format("acme") + table.format("beta"))
    assert faults(heliograph("sign", URL, "A=1", **env)) == ["--tenant: is required, one of acme, beta"]


def test_a_shared_key_signs_with_the_algorithm_that_its_header_names(tmp_path: Path) -> None:
    config = tmp_path / "tenants.toml"
    config.write_text(
        f'[tenants.acme]\naccount_sid = "AC{"0" * 32}"\nshared_keys_file = "{tmp_path / "keys"}"\n'
        'shared_keys = {k1 = "one"}\n[tenants.acme.lanes.main]\nfrom_number = "+15005550006"\n'
    )
    (tmp_path / "keys").write_text("k2:two\n")
    env = {"HELIOGRAPH_CONFIG": str(config)}
    for key, secret in (("k1", "one"), ("k2", "two")):
        done = heliograph("sign", URL, "A=1", "--tenant", "acme", "--shared-key", key, "--json", **env)
        told = json.loads(done.stdout)
        assert told["X-Twilio-Webhooks-Signature-Settings"] == f"key={key},algorithm=HMAC_SHA256"
        assert RequestValidator(secret).validate(URL, {"A": "1"}, told["X-Twilio-Signature"], "HMAC_SHA256")
    unknown = heliograph("sign", URL, "--tenant", "acme", "--shared-key", "k3", **env)
    assert faults(unknown) == ["--shared-key: there is no shared key k3: one of k1, k2"]
    (tmp_path / "keys").write_text("two\n")
    assert faults(heliograph("sign", URL, "--tenant", "acme", **env)) == [
        f"HELIOGRAPH_CONFIG: {config}: tenants.acme.shared_keys_file: 1 word is not id:secret"
    ]
    (tmp_path / "keys").write_text("k2 two\n")
    assert faults(heliograph("sign", URL, "--tenant", "acme", **env)) == [
        f"HELIOGRAPH_CONFIG: {config}: tenants.acme.shared_keys_file: 2 words are not id:secret"
    ]


@pytest.mark.parametrize(
    ("words", "env", "fault"),
    [
        ([URL, "A=1", "--data", "{}"], TOKEN, "--data: is instead of FIELD=VALUE, not with them"),
        ([URL, "--data", "@/nowhere/at-all"], TOKEN, "--data: /nowhere/at-all: No such file or directory"),
        ([URL, "--shared-key", "k"], TOKEN, "--shared-key: there is no shared key k: shared_keys is empty"),
        ([URL, "Body"], TOKEN, "Body: must be FIELD=VALUE"),
        (["hooks.example.com/twilio/status", "A=1"], TOKEN, "URL: must be an http or https URL"),
        ([URL, "--tenant", "acme"], TOKEN, "--tenant: there is no tenant acme: one of default"),
        ([URL], {}, "tenant default has no auth token: set TWILIO_AUTH_TOKEN, or auth_tokens in the tenants file"),
    ],
)
def test_what_cannot_be_signed_is_told(words: list[str], env: dict[str, str], fault: str) -> None:
    done = heliograph("sign", *words, **env)
    assert (done.returncode, faults(done)) == (2, [fault])
