"""What `config check` and the processes say of settings and tenants that are read but make no sense. Real processes."""

import json
from pathlib import Path

import pytest

from app.config import parsers
from app.config.settings import Settings
from app.config.tenants import Tenant, load_tenants
from app.records.topics import Topics
from tests.support.commands import KEYS, faults, heliograph

SHAPES = {
    "TWILIO_ACCOUNT_SID": "must be AC and 32 hex digits",
    "TWILIO_STATUS_CALLBACK_URL": "must be an http or https URL",
    "TWILIO_API_BASE_URL": "must be an http or https URL",
    "TWILIO_MESSAGING_SERVICE_SID": "must be MG and 32 hex digits",
    "TWILIO_FROM_NUMBER": "must be a number in E.164 (+14155550123), a short code or an alphanumeric sender id",
}
MISSHAPEN = dict(zip(SHAPES, ("XX12", "ftp://x", "nope", "XX12", "123"), strict=True))
TOLD = ["HELIOGRAPH_RATE: must not be negative", *(f"{name}: {rule}" for name, rule in SHAPES.items())]
LACKING = ["auth_tokens: is required", "inbound_url: must be an https URL"]
LIVE = "tenants default would send through Twilio itself: add --live, or set TWILIO_API_BASE_URL"
FILE = """\
[tenants.a]
account_sid = "AC"
strict_numbers = "no"
keyword_replies = "nobody"
default_lane = "y"
api_base_url = "nope"
[tenants.a.lanes.x]
from_number = "123"
rate = "fast"
[tenants.a.lanes.z]
messaging_service_sid = 7
"""
OF_FILE = [
    "lanes.x.rate: Expected `float`, got `str`",
    "lanes.z.messaging_service_sid: Expected `str`, got `int`",
    "strict_numbers: Expected `bool`, got `str`",
    f"account_sid: {SHAPES['TWILIO_ACCOUNT_SID']}",
    f"api_base_url: {SHAPES['TWILIO_API_BASE_URL']}",
    "default_lane: is not one of its lanes",
    "keyword_replies: must be twilio or heliograph",
    f"lanes.x.from_number: {SHAPES['TWILIO_FROM_NUMBER']}",
]
TENANT = """\
[tenants.{name}]
account_sid = "AC00000000000000000000000000000001"
auth_tokens = ["token"]
status_callback_url = "https://hooks.example.com/twilio/{path}status"
inbound_url = "https://hooks.example.com/twilio/{name}/inbound"
[tenants.{name}.lanes.main]
from_number = "+15005550006"
"""


def test_settings_and_the_tenant_made_of_them_are_judged_together() -> None:
    done = heliograph("config", "check", **KEYS, **MISSHAPEN, HELIOGRAPH_RATE="-1")
    lacking = [f"tenant default: {problem}" for problem in LACKING]
    assert (done.returncode, faults(done), done.stdout.splitlines()) == (2, TOLD, lacking)


def test_in_json_a_check_that_fails_is_json_too_and_ends_with_the_same_code() -> None:
    done = heliograph("config", "check", "--json", **KEYS, **MISSHAPEN, HELIOGRAPH_RATE="-1")
    lacking = [f"tenant default: {problem}" for problem in LACKING]
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {"faults": TOLD, "problems": lacking, "warnings": [], "notes": []}


def test_everything_live_refuses_with_the_same_words_and_the_same_code(tmp_path: Path) -> None:
    done = heliograph("up", "--live", "--dir", str(tmp_path), **KEYS, **MISSHAPEN, HELIOGRAPH_RATE="-1")
    assert (done.returncode, faults(done)) == (2, TOLD + [f"tenant default: {problem}" for problem in LACKING])


def test_a_worker_that_may_not_send_says_what_else_is_wrong() -> None:
    env = {name: text for name, text in MISSHAPEN.items() if name != "TWILIO_API_BASE_URL"}
    done = heliograph("worker", **KEYS, **env, HELIOGRAPH_RATE="-1")
    told = [fault for fault in TOLD if not fault.startswith("TWILIO_API_BASE_URL")]
    assert (done.returncode, faults(done)) == (2, [*told, LIVE])


@pytest.mark.parametrize("text", ["http://[", "http://a:0", "http://a:x", "https://", "twilio.com"])
def test_a_server_that_is_no_url_is_told_as_such(text: str) -> None:
    done = heliograph("worker", **KEYS, TWILIO_ACCOUNT_SID="AC" + "0" * 32, TWILIO_API_BASE_URL=text)
    assert (done.returncode, faults(done)) == (2, ["TWILIO_API_BASE_URL: must be an http or https URL"])


def test_a_stop_word_that_cannot_be_one_is_named_by_its_place(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(
        '[tenants.a]\nlanes.x.from_number = "+15005550006"\nstop_words = ["Arrêt", "-", "yes", "a\\u0007b"]\n'
    )
    rules = ["[1]: holds no letter and no digit", "[2]: means START", "[3]: holds a control character"]
    named = [f"HELIOGRAPH_CONFIG: {file}: tenants.a.stop_words{rule}" for rule in rules]
    for command in (("worker",), ("config", "check")):
        done = heliograph(*command, **KEYS, HELIOGRAPH_CONFIG=str(file))
        assert (done.returncode, faults(done)) == (2, named)


def test_a_field_that_cannot_be_read_hides_no_other_of_its_tenant(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(FILE)
    done = heliograph("worker", **KEYS, HELIOGRAPH_CONFIG=str(file))
    assert done.returncode == 2
    assert faults(done) == [f"HELIOGRAPH_CONFIG: {file}: tenants.a.{fault}" for fault in OF_FILE]


# What cannot be read, with what would follow from it if it counted as not there.
UNREAD = {
    'lanes = "main"\ndefault_lane = "main"': ["lanes: must be a table"],
    "services = 1\n[tenants.a.lanes.x]\nservice = 'main'": ["services: must be a table"],
    "[tenants.a.lanes.x]\nmessaging_service_sid = 7\nschedule_at_twilio = true": [
        "lanes.x.messaging_service_sid: Expected `str`, got `int`"
    ],
    "auth_tokens = [1]\n[tenants.a.lanes.x]\nfrom_number = 5": [
        "lanes.x.from_number: Expected `str`, got `int`",
        "auth_tokens[0]: Expected `str`, got `int`",
    ],
    "auth_tokens_file = '/nowhere/at-all'\n[tenants.a.lanes.x]\nfrom_number = '+15005550006'": [
        "auth_tokens_file: No such file or directory"
    ],
    "invalid_after = {30003 = 21}\n[tenants.a.lanes.x]\nfrom_number = '+15005550006'": [
        "invalid_after.30003: Expected `int` <= 20"
    ],
    "[tenants.a.lanes.x]\nfrom_number = '+15005550006'\n[tenants.a.create]\nrisk_check = 'maybe'": [
        "create.risk_check: must be one of enable, disable"
    ],
}


@pytest.mark.parametrize("text", UNREAD)
def test_what_cannot_be_read_is_told_by_its_place_and_is_to_blame_for_nothing_else(text: str, tmp_path: Path) -> None:
    file, urls = (
        tmp_path / "tenants.toml",
        "status_callback_url = 'https://a.example/s'\ninbound_url = 'https://a.example/i'",
    )
    tokens = "" if "auth_tokens" in text else "auth_tokens = ['token']\n"
    file.write_text(f"[tenants.a]\naccount_sid = 'AC{'0' * 32}'\n{urls}\n{tokens}{text}\n")
    done = heliograph("config", "check", "--json", **KEYS, HELIOGRAPH_CONFIG=str(file))
    found = json.loads(done.stdout)
    assert [fault.partition("tenants.a.")[2] for fault in found["faults"]] == UNREAD[text]
    assert (done.returncode, found["problems"]) == (2, [])


def test_a_secret_of_the_environment_that_cannot_be_read_is_not_missing() -> None:
    done = heliograph("config", "check", "--json", **KEYS, TWILIO_AUTH_TOKEN_FILE="/nowhere/at-all")
    found = json.loads(done.stdout)
    assert found["faults"] == ["TWILIO_AUTH_TOKEN_FILE: No such file or directory"]
    assert not [problem for problem in found["problems"] if "auth_tokens" in problem]


USERINFO = "must hold no user and no password: account_sid and auth_tokens log in"


@pytest.mark.parametrize("url", ["https://user:pass@api.example.com", "http://user@127.0.0.1:1", "https://@a.example"])
def test_a_server_with_a_user_in_it_is_a_fault_that_does_not_show_it(url: str, tmp_path: Path) -> None:
    by_env = heliograph("twilio", "check", TWILIO_API_BASE_URL=url)
    assert (by_env.returncode, by_env.stderr) == (2, f"error: TWILIO_API_BASE_URL: {USERINFO}\n")
    file = tmp_path / "tenants.toml"
    file.write_text(TENANT.format(name="a", path="a/").replace("auth_tokens", f'api_base_url = "{url}"\nauth_tokens'))
    by_file = heliograph("twilio", "check", HELIOGRAPH_CONFIG=str(file))
    assert by_file.stderr == f"error: HELIOGRAPH_CONFIG: {file}: tenants.a.api_base_url: {USERINFO}\n"


@pytest.mark.parametrize(("path", "code"), [("", 1), ("{name}/", 0)])
def test_tenants_of_one_account_need_routes_of_their_own(path: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text("".join(TENANT.format(name=name, path=path.format(name=name)) for name in ("a", "b")))
    done = heliograph("config", "check", "--json", **KEYS, HELIOGRAPH_CONFIG=str(file))
    rule = "and other tenants have the same account_sid and sender"
    told = [f"tenant {name}: status_callback_url: has no /twilio/{name}/, {rule}" for name in ("a", "b")]
    assert done.returncode == code
    found = json.loads(done.stdout) | {"notes": []}
    assert found == {"faults": [], "problems": [], "warnings": told if code else [], "notes": []}


ILLEGAL = {
    ("a b",): ["a b: is a part of a topic's name: letters of a to z, digits, dots, underscores and hyphens only"],
    ("a/b", "c"): ["a/b: is a part of a topic's name: letters of a to z, digits, dots, underscores and hyphens only"],
    ("x" * 230,): [f"{'x' * 230}: is a part of a topic's name: at most 229 characters"],
    ("a.b", "c", "a_b"): ["a_b: differs from tenant a.b in dots and underscores only, which Kafka does not tell apart"],
    ("x" * 229, "a-b", "A.b", "7"): [],
}


@pytest.mark.parametrize("names", ILLEGAL)
def test_a_tenant_whose_request_topic_kafka_would_refuse_is_a_fault(names: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text("".join(f"[tenants.\"{name}\"]\nlanes.x.from_number = '+15005550006'\n" for name in names))
    settings = Settings.read({"HELIOGRAPH_CONFIG": str(file), "HELIOGRAPH_TOPIC_PREFIX": "pre."})
    _, faults = load_tenants(settings)
    assert [fault.removeprefix(f"HELIOGRAPH_CONFIG: {file}: tenants.") for fault in faults] == ILLEGAL[names]
    assert max(len(Topics("pre.", "").requests_of("x" * 229)), 249) == 249


def test_config_check_says_from_which_topics_requests_are_taken(tmp_path: Path) -> None:
    file, texts = tmp_path / "tenants.toml", [TENANT.format(name=name, path=f"{name}/") for name in "ab"]
    file.write_text(texts[0] + texts[1].replace("account_sid", "shared_requests = true\naccount_sid"))
    found = json.loads(heliograph("config", "check", "--json", **KEYS, HELIOGRAPH_CONFIG=str(file)).stdout)
    assert found["notes"] == [
        "tenant a: requests are taken from notify.requests.a only; from notify.requests with shared_requests = true",
        "tenant b: shared_requests: whoever may write notify.requests may send and cancel as this tenant",
    ]


def test_tenants_of_one_account_with_senders_of_their_own_need_no_routes(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    both = [TENANT.format(name=name, path="").replace("0006", f"000{n}") for n, name in enumerate("ab")]
    file.write_text("".join(both))
    assert heliograph("config", "check", **KEYS, HELIOGRAPH_CONFIG=str(file)).returncode == 0


OVERRIDES = {"rc=5&rp=all": True, "ct=3000&rt=1500&rc=0&rp=ct,rt,5xx&e=dublin,ashburn": True}
OVERRIDES |= dict.fromkeys(["", "rc=6", "rc=x", "rp=some", "ct=99", "zz=1", "rc=5&", "rc=²", "#rc=5"], False)


@pytest.mark.parametrize("text", OVERRIDES)
def test_connection_overrides_are_those_of_twilio(text: str) -> None:
    if OVERRIDES[text]:
        assert parsers.overrides(text) == text
    else:
        with pytest.raises(ValueError, match="must be Twilio's connection overrides"):
            parsers.overrides(text)


URL, TOLD_AS = "https://hooks.example.com/twilio/status", {
    ("", ""): "#rc=5&rp=all",
    ("", "m=1&a=2"): "?m=1&a=2#rc=5&rp=all",
    ("#rc=1", "m=1"): "?m=1#rc=1",
    ("?site=1", "m=1"): "?site=1&m=1#rc=5&rp=all",
}  # fmt: skip


@pytest.mark.parametrize("given", TOLD_AS)
def test_a_url_that_twilio_is_told_ends_in_overrides_its_own_or_the_tenants(given: tuple[str, str]) -> None:
    tail, query = given
    assert Tenant().public_url(URL + tail, query) == URL + TOLD_AS[given]
    assert Tenant(webhook_overrides="").public_url(URL) == URL
    assert Tenant(webhook_overrides="rc=2").public_url(URL, query) == (f"{URL}?{query}" if query else URL) + "#rc=2"


def test_a_name_like_no_other_is_not_guessed_at() -> None:
    done = heliograph("config", "check", **KEYS, HELIOGRAPH_TYPO="1", HELIOGRAPH_LOGLEVEL="info")
    told = ["HELIOGRAPH_LOGLEVEL: is not a setting; did you mean HELIOGRAPH_LOG_LEVEL?"]
    assert faults(done) == [*told, "HELIOGRAPH_TYPO: is not a setting"]


@pytest.mark.parametrize("text", ["+14155550123", "2345", "12345", "123456", "Heliograph", "My Shop 24", "A&B-c_d"])
def test_numbers_short_codes_and_names_may_send(text: str) -> None:
    assert parsers.sender(text) == text


@pytest.mark.parametrize("text", ["123", "1234567", "4155550123", "+0415555", "TwelveLetter", "a.b", "+1415555012x3x"])
def test_what_is_none_of_them_may_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a number in E\.164"):
        parsers.sender(text)
