"""The policy for doubt: chosen per category in the tenants file, stamped on each request at the door."""

from pathlib import Path

import pytest

from app.config.settings import Settings, SettingsError
from app.config.tenants import Tenant, read_tenants
from app.domain.model.policy import DOUBT_LOOK_AFTER_MS, LOOK_AFTER_MS, Policy
from app.domain.model.vocabulary import Category
from app.records.requests import NotifyRequested
from app.streams.agents.policy_resolver import PolicyResolver

FILE = """
[tenants.acme]
account_sid = "AC00000000000000000000000000000001"
resend_after_s = {%s}
[tenants.acme.lanes.main]
from_number = "+15005550006"
"""


def tenant(path: Path, resend: str) -> Tenant:
    (path / "tenants.toml").write_text(FILE % resend)
    return read_tenants(Settings.read({"HELIOGRAPH_CONFIG": str(path / "tenants.toml")}))["acme"]


def resolved(owner: Tenant, category: Category, **env: str) -> Policy:
    request = NotifyRequested(to="+14155550123", body="Build 742 deployed.", category=category)
    return PolicyResolver(Settings.read(env)).resolve(request, owner, "main", 0)


def test_a_doubt_is_only_reported_unless_the_tenant_chose_to_send_that_category_again(tmp_path):
    owner = tenant(tmp_path, "alert = 120")
    assert resolved(owner, Category.ALERT).resend_after_ms == 120_000
    assert {resolved(owner, category).resend_after_ms for category in set(Category) - {Category.ALERT}} == {None}


@pytest.mark.parametrize(
    ("resend", "fault"),
    [("marketing = 60", "marketing: marketing in doubt is never sent again"),
     ("alerts = 60", "alerts: is not a category: otp, transactional, alert, marketing")],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_a_fault_that_names_it(tmp_path, resend, fault):
    with pytest.raises(SettingsError) as bad:
        tenant(tmp_path, resend)
    assert bad.value.faults == (f"HELIOGRAPH_CONFIG: {tmp_path}/tenants.toml: tenants.acme.resend_after_s.{fault}",)


def test_looks_are_stamped_and_by_default_are_those_that_a_row_need_not_hold(tmp_path):
    owner = tenant(tmp_path, "")
    usual = resolved(owner, Category.OTP)
    assert usual.look_after_ms is LOOK_AFTER_MS and usual.doubt_look_after_ms is DOUBT_LOOK_AFTER_MS
    told = {"HELIOGRAPH_LOOK_AFTER_S": "5,60", "HELIOGRAPH_DOUBT_LOOK_AFTER_S": "2.5"}
    assert resolved(owner, Category.OTP, **told).look_after_ms == (5000, 60_000)
    assert resolved(owner, Category.OTP, **told).doubt_look_after_ms == (2500,)


@pytest.mark.parametrize("bad", ["60,5", "0,5", "5,,6", "soon", "5,5"])
def test_looks_that_do_not_rise_are_a_fault(bad):
    with pytest.raises(SettingsError) as faults:
        Settings.read({"HELIOGRAPH_LOOK_AFTER_S": bad})
    assert faults.value.faults[0].startswith("HELIOGRAPH_LOOK_AFTER_S: ")
