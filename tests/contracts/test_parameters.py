"""What a tenant may say of its create calls: parameters for all lanes or one, a pinned sender, whom a sandbox texts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.config.create_parameters import MISLEADING, WORTH_KNOWING, Parameters
from app.config.settings import Settings, SettingsError
from app.config.tenants import Tenant, read_tenants
from app.domain.content.media import SMALL, WHOLE, media_warnings
from app.domain.content.phone import mask
from app.domain.model.vocabulary import Category
from app.records.requests import NotifyRequested
from app.streams.agents.policy_resolver import PolicyResolver
from tests.support.commands import KEYS, faults, heliograph

HEAD = """
[tenants.acme]
account_sid = "AC00000000000000000000000000000001"
auth_tokens = ["token"]
status_callback_url = "https://hooks.example.com/twilio/acme/status"
inbound_url = "https://hooks.example.com/twilio/acme/inbound"
shared_requests = true
"""
LANE = '[tenants.acme.lanes.main]\nmessaging_service_sid = "MG00000000000000000000000000000001"\n'
NUMBER = '[tenants.acme.lanes.number]\nfrom_number = "+15005550006"\n'
PERSON, OTHER = "+14155550123", "+14155550199"


def tenant(path: Path, text: str) -> Tenant:
    file = path / "tenants.toml"
    file.write_text(text)
    return read_tenants(Settings.read({"HELIOGRAPH_CONFIG": str(file)}))["acme"]


def told(path: Path, text: str) -> list[str]:
    """Faults of tenant acme."""
    with pytest.raises(SettingsError) as bad:
        tenant(path, text)
    return [fault.partition("tenants.acme.")[2] for fault in bad.value.faults]


def checked(path: Path, text: str) -> tuple[int, dict[str, Any]]:
    file = path / "tenants.toml"
    file.write_text(text)
    done = heliograph("config", "check", "--json", **KEYS, HELIOGRAPH_CONFIG=str(file))
    return done.returncode, json.loads(done.stdout)


def test_nothing_is_set_unless_the_tenant_sets_it_and_a_lane_sets_its_own_over_that(tmp_path: Path) -> None:
    assert tenant(tmp_path, HEAD + LANE).parameters("main").set == ()
    given = """
[tenants.acme.create]
address_retention = "obfuscate"
smart_encoded = true
max_price = 0.05
[tenants.acme.lanes.main.create]
smart_encoded = false
message_intent = {otp = "otp"}
"""
    owner = tenant(tmp_path, HEAD + NUMBER + LANE + given)
    assert owner.parameters("main") == Parameters(
        address_retention="obfuscate", smart_encoded=False, max_price=0.05, message_intent={"otp": "otp"}
    )
    assert owner.parameters("number") == Parameters(address_retention="obfuscate", smart_encoded=True, max_price=0.05)


BROKEN = {
    'content_retention = "forget"': "content_retention: must be one of retain, discard",
    "max_price = 0": "max_price: Expected `float` > 0.0",
    'application_sid = "AP1"': "application_sid: must be AP and 32 hex digits",
    'message_intent = {news = "otp"}': "message_intent.news: is not a category: otp, transactional, alert, marketing",
    "smart_encode = true": "smart_encode: is not known; did you mean smart_encoded?",
}


@pytest.mark.parametrize("line", BROKEN)
@pytest.mark.parametrize("table", ["create", "lanes.main.create"])
def test_a_parameter_that_twilio_would_refuse_is_a_fault_that_names_it(line: str, table: str, tmp_path: Path) -> None:
    faults = told(tmp_path, f"{HEAD}{LANE}[tenants.acme.{table}]\n{line}\n")
    assert faults == [f"{table}.{BROKEN[line]}"]


def test_an_intent_of_a_category_is_one_of_twilios(tmp_path: Path) -> None:
    [fault] = told(tmp_path, HEAD + LANE + '[tenants.acme.create]\nmessage_intent = {otp = "chat"}\n')
    assert fault.startswith("create.message_intent.otp: must be one of otp, notifications, marketing,")


def test_links_are_shortened_by_a_service_only(tmp_path: Path) -> None:
    faults = told(tmp_path, HEAD + NUMBER + "[tenants.acme.lanes.number.create]\nshorten_urls = true\n")
    assert faults == ["lanes.number.create.shorten_urls: needs a messaging_service_sid"]


def test_both_senders_are_for_a_pinned_lane_and_a_pinned_lane_has_both(tmp_path: Path) -> None:
    both = LANE + 'from_number = "+15005550006"\n'
    assert tenant(tmp_path, HEAD + both + "pinned = true\n").lanes["main"].pinned
    assert told(tmp_path, HEAD + both) == [
        "lanes.main: has both messaging_service_sid and from_number: one of them, or pinned = true for that one sender alone"
    ]
    assert told(tmp_path, HEAD + LANE + "pinned = true\n") == [
        "lanes.main: needs both messaging_service_sid and from_number, as it is pinned"
    ]


def test_config_check_warns_of_what_promises_more_than_it_does_and_notes_what_the_rest_costs(tmp_path: Path) -> None:
    given = f"""
[tenants.acme.create]
content_retention = "discard"
address_retention = "obfuscate"
smart_encoded = true
shorten_urls = true
risk_check = "disable"
message_intent = {{otp = "otp"}}
[tenants.acme.lanes.main.create]
max_price = 1.0
provide_feedback = true
application_sid = "AP{"0" * 32}"
"""
    code, found = checked(tmp_path, HEAD + LANE + given)
    about = {f"tenant acme: lanes.main.create.{name}: {text}" for name, text in MISLEADING.items()}
    assert (code, set(found["warnings"]), found["problems"]) == (1, about, [])
    assert set(found["notes"]) == {f"tenant acme: create.{name}: {text}" for name, text in WORTH_KNOWING.items()}
    assert {*MISLEADING, *WORTH_KNOWING} == set(Parameters.__struct_fields__)


def test_notes_alone_do_not_make_a_check_fail(tmp_path: Path) -> None:
    code, found = checked(tmp_path, HEAD + LANE + '[tenants.acme.create]\nrisk_check = "enable"\n')
    assert (code, len(found["notes"])) == (0, 1)


def test_a_parameter_that_is_set_to_what_holds_without_it_is_not_worth_a_note(tmp_path: Path) -> None:
    given = """
[tenants.acme.create]
content_retention = "retain"
address_retention = "retain"
smart_encoded = false
shorten_urls = false
provide_feedback = false
"""
    code, found = checked(tmp_path, HEAD + LANE + given)
    assert (code, found["notes"], found["warnings"]) == (0, [], [])


UNRETRIED = "has no rc=1 to rc=5: a webhook that does not arrive is tried again once at most, if no connection was made"


@pytest.mark.parametrize("overrides", ["", "rc=0", "ct=3000&rp=all"])
def test_webhooks_without_retries_are_noted_once_for_a_tenant(overrides: str, tmp_path: Path) -> None:
    code, found = checked(tmp_path, HEAD + f'webhook_overrides = "{overrides}"\n' + LANE)
    assert (code, found["notes"]) == (0, [f"tenant acme: webhook_overrides: {UNRETRIED}"])


def test_a_url_that_has_overrides_of_its_own_is_noted_by_them(tmp_path: Path) -> None:
    own = HEAD.replace("acme/status", "acme/status#ct=900") + LANE
    assert checked(tmp_path, own)[1]["notes"] == [f"tenant acme: status_callback_url: {UNRETRIED}"]
    retried = HEAD.replace("acme/status", "acme/status#rc=1").replace("acme/inbound", "acme/inbound#rp=all&rc=2")
    assert checked(tmp_path, retried + 'webhook_overrides = ""\n' + LANE)[1]["notes"] == []


SANDBOX = HEAD + f'mode = "sandbox"\nallow = ["{PERSON}", "+52 1 55 1234 5678"]\n' + LANE


def test_a_sandbox_may_text_those_on_its_list_in_whatever_form_and_nobody_else(tmp_path: Path) -> None:
    owner = tenant(tmp_path, SANDBOX)
    assert [owner.may_text(to) for to in (PERSON, "+525512345678", OTHER, "")] == [True, True, False, False]
    assert tenant(tmp_path, HEAD + LANE).may_text(OTHER)
    assert not tenant(tmp_path, HEAD + 'mode = "sandbox"\n' + LANE).may_text(PERSON)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (f'allow = ["{PERSON}"]', 'allow: is for mode = "sandbox"; this tenant may text anybody'),
        (f'mode = "sandbox"\nallow = ["{PERSON}", "555"]', "allow[1]: is not a phone number with + and country code"),
        ('mode = "staging"', "mode: must be one of live, sandbox"),
        (f'mode = "sandbx"\nallow = ["{PERSON}"]', "mode: must be one of live, sandbox"),
        ('mode = "sandbox"\nallow = [1]', "allow[0]: Expected `str`, got `int`"),
    ],
)
def test_a_sandbox_that_cannot_be_is_a_fault(lines: str, fault: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"{HEAD}{lines}\n{LANE}") == [fault]


def test_p8_check_and_show_say_what_is_a_sandbox_and_mask_whom_it_may_text(tmp_path: Path) -> None:
    code, found = checked(tmp_path, SANDBOX)
    note = f"tenant acme: is a sandbox and texts {mask(PERSON)}, {mask('+525512345678')}"
    assert (code, found["notes"]) == (0, [note])
    env = {**KEYS, "HELIOGRAPH_CONFIG": str(tmp_path / "tenants.toml")}
    shown = [heliograph("config", "show", *options, **env).stdout for options in ((), ("--json",))]
    assert note in shown[0].splitlines()
    modes = json.loads(shown[1])["modes"]
    assert modes == {"acme": {"mode": "sandbox", "allow": [mask(PERSON), mask("+525512345678")]}}
    assert PERSON not in "".join(shown) and PERSON not in repr(tenant(tmp_path, SANDBOX))


BY_ENV = {"HELIOGRAPH_MODE": "sandbox", "HELIOGRAPH_ALLOW": f"{PERSON}, +52 1 55 1234 5678"}


def test_the_tenant_from_the_environment_is_a_sandbox_in_the_same_way(tmp_path: Path) -> None:
    owner = read_tenants(Settings.read(BY_ENV))["default"]
    assert [owner.may_text(to) for to in (PERSON, "+525512345678", OTHER, "")] == [True, True, False, False]
    assert not read_tenants(Settings.read({"HELIOGRAPH_MODE": "sandbox"}))["default"].may_text(PERSON)
    assert read_tenants(Settings.read({}))["default"].may_text(OTHER)
    numbers = tmp_path / "numbers"
    numbers.write_text(f"{PERSON}\n")
    by_file = {"HELIOGRAPH_MODE": "sandbox", "HELIOGRAPH_ALLOW_FILE": str(numbers)}
    assert read_tenants(Settings.read(by_file))["default"].may_text(PERSON)


@pytest.mark.parametrize(
    ("allow", "mode", "fault"),
    [
        (PERSON, "live", 'HELIOGRAPH_ALLOW: is for mode = "sandbox"; this tenant may text anybody'),
        (f"{PERSON},555", "sandbox", "HELIOGRAPH_ALLOW[1]: is not a phone number with + and country code"),
    ],
)
def test_a_sandbox_of_the_environment_that_cannot_be_is_a_fault(allow: str, mode: str, fault: str) -> None:
    with pytest.raises(SettingsError) as bad:
        read_tenants(Settings.read({"HELIOGRAPH_MODE": mode, "HELIOGRAPH_ALLOW": allow}))
    assert bad.value.faults == (fault,)


def test_a_mode_of_the_environment_that_cannot_be_read_has_no_second_fault() -> None:
    env = {"HELIOGRAPH_MODE": "sandbx", "HELIOGRAPH_ALLOW": f"{PERSON},555"}
    done = heliograph("config", "show", **KEYS, **env)
    assert faults(done) == [
        "HELIOGRAPH_MODE: must be one of live, sandbox",
        "HELIOGRAPH_ALLOW[1]: is not a phone number with + and country code",
    ]


@pytest.mark.parametrize("left_out", ["HELIOGRAPH_MODE", "HELIOGRAPH_ALLOW", ""])
def test_a_sandbox_of_the_environment_beside_a_tenants_file_would_be_none_and_is_a_fault(
    left_out: str, tmp_path: Path
) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(HEAD + LANE)
    env = {name: value for name, value in BY_ENV.items() if name != left_out}
    with pytest.raises(SettingsError, match="HELIOGRAPH_ALLOW: are of a tenant from TWILIO_"):
        read_tenants(Settings.read({**env, "HELIOGRAPH_CONFIG": str(file)}))


def test_p8_the_sandbox_of_the_environment_is_shown_and_its_numbers_are_hidden() -> None:
    note = f"tenant default: is a sandbox and texts {mask(PERSON)}, {mask('+525512345678')}"
    shown = [heliograph("config", "show", *options, **KEYS, **BY_ENV).stdout for options in ((), ("--json",))]
    assert note in shown[0].splitlines() and "HELIOGRAPH_ALLOW=***" in shown[0].splitlines()
    assert json.loads(shown[1])["modes"]["default"]["mode"] == "sandbox"
    assert PERSON not in "".join(shown) + repr(Settings.read(BY_ENV)) + repr(read_tenants(Settings.read(BY_ENV)))


def test_segments_are_those_of_the_text_as_smart_encoding_leaves_it(tmp_path: Path) -> None:
    text = "“" + "x" * 100 + "”"
    request = NotifyRequested(to=PERSON, body=text, category=Category.OTP)
    policies = PolicyResolver(Settings.read({}))
    named = '[tenants.acme.lanes.main]\nservice = "s"\n[tenants.acme.services.s]\nsid = "MG00000000000000000000000000000001"\n'
    number = NUMBER.replace(".number]", ".main]")
    counted = {
        LANE: 1,
        LANE + "smart_encoding = false\n": 2,
        LANE + "[tenants.acme.create]\nsmart_encoded = false\n": 2,
        LANE + "smart_encoding = false\n[tenants.acme.create]\nsmart_encoded = true\n": 1,
        named: 1,
        named + "smart_encoding = false\n": 2,
        number: 2,
        number + "[tenants.acme.create]\nsmart_encoded = true\n": 1,
    }
    owners = {text: tenant(tmp_path, HEAD + text) for text in counted}
    assert {text: policies.resolve(request, owner, "main", 0).segments for text, owner in owners.items()} == counted


def test_smart_encoding_is_of_a_service(tmp_path: Path) -> None:
    assert told(tmp_path, HEAD + NUMBER + "smart_encoding = true\n") == [
        "lanes.number.smart_encoding: needs a messaging_service_sid"
    ]


def test_media_of_a_type_that_is_whole_at_twilio_need_no_warning_and_others_say_their_place() -> None:
    fine = [f"https://cdn.example.com/a.b/picture.{ending.upper()}?size=9" for ending in sorted(WHOLE)]
    assert media_warnings(fine) == ()
    small = [f"https://cdn.example.com/x.{ending}" for ending in sorted(SMALL)]
    assert all("at most 500 kB of it" in warning for warning in media_warnings(small))
    odd = ["https://cdn.example.com", "https://cdn.example.com/.jpg", "https://[", "https://cdn.example.com/a.exe"]
    assert [warning.partition(":")[0] for warning in media_warnings([*fine, *odd])] == [
        f"media[{len(fine) + n}]" for n in range(4)
    ]


def test_calls_log_in_with_the_api_key_and_without_one_with_the_first_auth_token(tmp_path: Path) -> None:
    key = f'api_key_sid = "SK{"0" * 32}"\napi_key_secret = "s"\n'
    assert tenant(tmp_path, HEAD + key + LANE).credentials == ("SK" + "0" * 32, "s")
    assert tenant(tmp_path, HEAD + LANE).credentials == ("AC00000000000000000000000000000001", "token")


AHEAD_S = {16 * 60 - 1: False, 16 * 60: True, 34 * 86_400: True, 35 * 86_400: False}


@pytest.mark.parametrize("ahead_s", AHEAD_S)
def test_what_is_to_be_sent_later_is_handed_over_where_the_lane_says_so_and_twilio_takes_it(
    ahead_s: int, tmp_path: Path
) -> None:
    owner = tenant(tmp_path, HEAD + LANE + "schedule_at_twilio = true\n" + NUMBER)
    request = NotifyRequested(to=PERSON, body="x", send_at=datetime.fromtimestamp(1_800_000_000 + ahead_s, UTC))
    policies = PolicyResolver(Settings.read({}))
    assert policies.resolve(request, owner, "main", 1_800_000_000_000).handed_over is AHEAD_S[ahead_s]
    assert not policies.resolve(request, owner, "number", 1_800_000_000_000).handed_over
    assert not policies.resolve(NotifyRequested(to=PERSON, body="x"), owner, "main", 0).handed_over


def test_twilio_schedules_for_a_service_only(tmp_path: Path) -> None:
    faults = told(tmp_path, HEAD + NUMBER + "schedule_at_twilio = true\n")
    assert faults == ["lanes.number.schedule_at_twilio: needs a messaging_service_sid"]


def test_a_lookup_is_for_a_category_before_the_first_text_or_an_mms_and_config_check_says_what_it_costs(
    tmp_path: Path,
) -> None:
    assert told(tmp_path, HEAD + 'lookup = {news = "first"}\n' + LANE) == [
        "lookup.news: is not a category: otp, transactional, alert, marketing"
    ]
    assert told(tmp_path, HEAD + 'lookup = {otp = "always", alert = "mms", news = "mms"}\n' + LANE) == [
        "lookup.otp: must be one of first, mms",
        "lookup.news: is not a category: otp, transactional, alert, marketing",
    ]
    code, found = checked(tmp_path, HEAD + 'lookup = {otp = "mms"}\n' + LANE)
    assert code == 0 and found["notes"][0].startswith("tenant acme: lookup.otp: Lookup v2 is billed by request")
