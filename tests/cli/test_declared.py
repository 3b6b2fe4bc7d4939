"""Services and numbers that the tenants file declares: what is refused, and how a lane comes by its sender."""

from pathlib import Path

import aiohttp
import pytest

from app.config.settings import Settings, SettingsError
from app.config.tenant_checks import missing_field_faults
from app.config.tenants import Tenant, read_tenants
from app.provider.http import API
from app.provider.request_url import address
from tests.support.commands import KEYS, faults, heliograph

SID = "MG" + "a" * 32
FIRST = "+14155550100"
HEAD = """\
[tenants.acme]
account_sid = "AC00000000000000000000000000000001"
auth_tokens = ["token"]
status_callback_url = "https://hooks.example.com/status"
inbound_url = "https://hooks.example.com/inbound"
[tenants.acme.lanes.main]
service = "main"
"""
WRONG = """\
[tenants.acme.services.main]
sid = "MG1"
numbers = ["4155550100", "+14155550100"]
inbound_url = "ftp://x"
validity_s = 36001
[tenants.acme.services.more]
numbers = ["+14155550100"]
campain = "C1"
[tenants.acme.services.third]
sticky_sender = "yes"
[tenants.acme.numbers.hotline]
fallback_url = "nope"
[tenants.acme.lanes.other]
service = "none"
[tenants.acme.lanes.third]
service = "main"
messaging_service_sid = "MG00000000000000000000000000000001"
"""
TOLD = [
    "lanes.third.service: is a messaging_service_sid by name: one of them",
    "lanes.other.service: is not one of its services",
    "numbers.hotline.fallback_url: must be an http or https URL",
    "numbers.hotline.number: must be a number in E.164 (+14155550123) or PN and 32 hex digits",
    "services.main.inbound_url: must be an http or https URL",
    "services.main.numbers[0]: must be a number in E.164 (+14155550123) or PN and 32 hex digits",
    "services.main.numbers[1]: is in another service too; a number can be in one",
    "services.main.sid: must be MG and 32 hex digits",
    "services.main.validity_s: Expected `int` <= 36000",
    "services.more.campain: is not known; did you mean campaign?",
    "services.more.numbers[0]: is in another service too; a number can be in one",
    "services.third.sticky_sender: Expected `bool | null`, got `str`",
]


def read(path: Path, rest: str) -> Tenant:
    (path / "t.toml").write_text(HEAD + rest)
    return read_tenants(Settings.read({"HELIOGRAPH_CONFIG": str(path / "t.toml")}))["acme"]


def test_p8_every_fault_is_told_by_its_place_and_no_number_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, WRONG)
    told = sorted(fault.partition("tenants.acme.")[2] for fault in caught.value.faults)
    assert told == sorted(TOLD) and FIRST not in str(caught.value)


def test_a_lane_sends_through_the_service_that_it_names(tmp_path: Path) -> None:
    tenant = read(tmp_path, f'[tenants.acme.services.main]\nsid = "{SID}"\n')
    assert tenant.lanes["main"].messaging_service_sid == SID and missing_field_faults({"acme": tenant}, ()) == []


def test_a_worker_does_not_start_on_a_service_that_was_not_made(tmp_path: Path) -> None:
    tenant = read(tmp_path, "[tenants.acme.services.main]\n")
    rule = "that service has no sid: heliograph twilio apply makes it and prints the sid"
    told = f"tenant acme: lanes.main.service: {rule}"
    assert missing_field_faults({"acme": tenant}, ()) == [told]
    done = heliograph("worker", "--live", **KEYS, HELIOGRAPH_CONFIG=str(tmp_path / "t.toml"))
    assert (done.returncode, faults(done)) == (2, [told])


@pytest.mark.parametrize(
    ("base", "uri", "sent"),
    [
        (API, "https://api.twilio.com/2010-04-01/x", "https://api.twilio.com/2010-04-01/x"),
        (API, "https://messaging.twilio.com/v1/Services", "https://messaging.twilio.com/v1/Services"),
        (API, "/2010-04-01/x?Page=1", "https://api.twilio.com/2010-04-01/x?Page=1"),
        (
            "https://api.dublin.ie1.twilio.com",
            "https://messaging.twilio.com/v1/x",
            "https://messaging.dublin.ie1.twilio.com/v1/x",
        ),
        ("http://127.0.0.1:4010", "https://messaging.twilio.com/v1/x?a=1", "http://127.0.0.1:4010/v1/x?a=1"),
        ("http://127.0.0.1:4010", "http://127.0.0.1:4010/v1/x?Page=1", "http://127.0.0.1:4010/v1/x?Page=1"),
        ("http://api.local:1/twilio", "https://api.twilio.com/2010-04-01/x", "http://api.local:1/twilio/2010-04-01/x"),
    ],
)
def test_a_request_goes_to_the_configured_server_or_to_its_product_in_the_same_region(
    base: str, uri: str, sent: str
) -> None:
    assert address(base, uri) == sent


@pytest.mark.parametrize(
    "uri", ["https://evil.example.com/v1/x", "http://127.0.0.1:40101/x", "https://eviltwilio.com/x"]
)
def test_credentials_go_to_no_other_server(uri: str) -> None:
    with pytest.raises(aiohttp.InvalidURL):
        address("http://127.0.0.1:4010", uri)
