"""Who may use the API: keys, scopes and rates, over a real socket."""

from pathlib import Path

import pytest

from app.config.api_keys import ApiKeys, Scope
from tests.support.ingress_server import ACME, MESSAGE, PERSON, IngressServer, door, tenant
from tests.support.keyring import ACME_KEY, API_KEYS, BETA_KEY, WRONG_KEY, api_key

EVENT = {"to": PERSON, "body": "Build 742 deployed."}
# After one request the next has to wait for 1,000 s.
ONE_A_KEY, ONE_AN_ADDRESS = {"HELIOGRAPH_API_RATE": "0.001"}, {"HELIOGRAPH_API_ADDRESS_RATE": "0.001"}


async def cancel(made: IngressServer, key: str, **headers: str) -> int:
    given = {"Authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return (await made.http.delete(f"/v1/messages/{MESSAGE}", headers=given)).status_code


async def test_a_key_without_the_scope_is_told_which_one_it_needs_and_nothing_is_kept(tmp_path: Path) -> None:
    async with door(tmp_path, keys=ApiKeys([api_key(ACME_KEY, "acme", [Scope.CANCEL, Scope.ADMIN])])) as made:
        answer = await made.ask(EVENT)
        assert made.kafka.records == [] and await cancel(made, ACME_KEY) == 202
    assert (answer.status_code, answer.json()["rule"]) == (403, "needs a key with scope send")


@pytest.mark.parametrize(
    "given", [{"expires_at": "2026-03-04T00:00:00.000Z"}, {"revoked_at": "2026-03-04T00:00:00.000Z"}]
)
async def test_a_key_that_has_expired_or_was_revoked_is_no_key(tmp_path: Path, given: dict[str, str]) -> None:
    async with door(tmp_path, keys=ApiKeys([api_key(ACME_KEY, "acme", **given)])) as made:
        answer = await made.ask(EVENT)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] in ("the key has expired", "the key was revoked")


async def test_keys_are_in_force_from_the_moment_they_are_taken(tmp_path: Path) -> None:
    async with door(tmp_path, keys=ApiKeys()) as made:
        before = await cancel(made, ACME_KEY)
        made.ingress.take({"acme": tenant("acme", ACME)}, ApiKeys([api_key(ACME_KEY, "acme")]))
        assert (before, await cancel(made, ACME_KEY)) == (401, 202)


async def test_each_key_has_a_rate_of_its_own(tmp_path: Path) -> None:
    async with door(tmp_path, extra=ONE_A_KEY) as made:
        first, again, other = [await made.ask(EVENT, key) for key in (ACME_KEY, ACME_KEY, BETA_KEY)]
        assert len(made.kafka.records) == 2
    assert [first.status_code, again.status_code, other.status_code] == [202, 429, 202]
    assert again.headers["retry-after"] == "1000"
    assert again.json() == {"type": "about:blank", "title": "too many requests of this key", "status": 429}


async def test_attempts_without_a_key_count_by_address_before_any_key_is_looked_up(tmp_path: Path) -> None:
    class Untouched(ApiKeys):
        def find(self, presented: str) -> None:
            looked_up.append(presented)

    looked_up: list[str] = []
    async with door(tmp_path, keys=Untouched(), extra=ONE_AN_ADDRESS) as made:
        answered = [await cancel(made, key) for key in (WRONG_KEY, WRONG_KEY, ACME_KEY)]
    assert answered == [401, 429, 429] and looked_up == [WRONG_KEY]


async def test_webhooks_are_never_limited(tmp_path: Path) -> None:
    async with door(tmp_path, extra=ONE_AN_ADDRESS | ONE_A_KEY) as made:
        assert [await cancel(made, ACME_KEY) for _ in range(2)] == [202, 429]
        assert {(await made.report()).status_code for _ in range(20)} == {204}
        assert {(await made.report(MessageStatus="", AccountSid="AC" + "0" * 32)).status_code for _ in range(20)} == {
            403
        }


@pytest.mark.parametrize(
    ("proxies", "answered"),
    [
        # The peer is the proxy: each client that it names counts for itself, and what a client says of itself is not believed.
        ("127.0.0.1", [202, 202, 429]),
        ("127.0.0.0/8", [202, 202, 429]),
        # The peer is nobody in particular.
        ("203.0.113.1", [202, 429, 429]),
    ],
)
async def test_the_address_is_what_a_trusted_proxy_saw_and_else_the_peer(
    tmp_path: Path, proxies: str, answered: list[int]
) -> None:
    extra = ONE_AN_ADDRESS | {"HELIOGRAPH_TRUSTED_PROXIES": proxies}
    async with door(tmp_path, keys=API_KEYS, extra=extra) as made:
        seen = ("198.51.100.1", "198.51.100.2", "198.51.100.9, 198.51.100.1")
        assert [await cancel(made, ACME_KEY, X_Forwarded_For=client) for client in seen] == answered
