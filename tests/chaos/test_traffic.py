"""What the steady load asks for: all that the product takes is among it, for both tenants."""

import random
from collections import Counter
from pathlib import Path

import orjson

from app.config.settings import Settings
from app.config.tenants import read_tenants
from app.records.requests import NotifyRequested, read_request
from ops.chaos.deadlines import SHORT
from ops.chaos.tenants_file import LANES, SERVICES, tenants_text
from ops.chaos.traffic import Traffic


def asked(count: int, seed: int = 7) -> list[NotifyRequested]:
    traffic = Traffic(SHORT, random.Random(seed))
    found = [read_request(orjson.dumps(traffic.event())) for _ in range(count)]
    return [request for request in found if isinstance(request, NotifyRequested)]


def test_every_lane_of_both_tenants_is_used():
    lanes = Counter((request.tenant, request.sender) for request in asked(400))
    assert set(lanes) == {(tenant, lane) for tenant, names in LANES.items() for lane in names}


def test_lists_media_and_texts_for_later_are_among_it_and_most_is_plain():
    found = asked(400)
    assert {bool(request.media) for request in found} == {True, False}
    assert {request.send_at is not None for request in found} == {True, False}
    sizes = Counter(len(request.to) for request in found if isinstance(request.to, list))
    assert set(sizes) >= {2, 3, 4} and sizes.total() < 40


def test_what_is_for_later_can_still_be_sent_in_time():
    later = [request for request in asked(400) if request.send_at is not None]
    assert all(request.expires_at is not None and request.send_at < request.expires_at for request in later)


def test_the_tenants_file_declares_two_tenants_of_one_account(tmp_path: Path):
    path = tmp_path / "tenants.toml"
    path.write_text(tenants_text("http://127.0.0.1:1", ("first", "second"), 40))
    tenants = read_tenants(Settings.read({"HELIOGRAPH_CONFIG": str(path)}))
    assert {name: tuple(tenant.lanes) for name, tenant in tenants.items()} == LANES
    assert {(name, lane): tenants[name].lanes[lane].messaging_service_sid for name, lane in SERVICES} == SERVICES
    assert all(len(tenant.auth_tokens) == 2 for tenant in tenants.values())
