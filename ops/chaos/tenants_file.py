"""The tenants of a run: two of one Twilio account, each with two lanes, and the file that declares them."""

from collections.abc import Sequence

from app.dev.process_env import ACCOUNT, SERVICE

DEFAULT, SECOND = "default", "second"
# The lane of campaigns, so that they do not use up the rate of the others.
SLOW_LANE = "slow"
LANES = {DEFAULT: ("main", SLOW_LANE), SECOND: ("main", "side")}
SERVICES = {
    (DEFAULT, "main"): SERVICE,
    (DEFAULT, SLOW_LANE): SERVICE[:-1] + "2",
    (SECOND, "main"): SERVICE[:-1] + "3",
    (SECOND, "side"): SERVICE[:-1] + "4",
}
SLOW_RATE = 60
# Waits before the first, second ... further attempt after a failure that allows one.
RETRIES_S = [1.0, 3.0]

# By topic teams produce to the topic of all tenants, those of the second to its own. The ingress has one for each.
PRODUCED_TO = {DEFAULT: "notify.requests", SECOND: f"notify.requests.{SECOND}"}
REQUEST_TOPICS = ("notify.requests", *(f"notify.requests.{name}" for name in LANES))

TENANT_TABLE = """\
[tenants.{name}]
account_sid = "{account}"
auth_tokens = [{tokens}]
status_callback_url = "{door}/twilio/{name}/status"
inbound_url = "{door}/twilio/{name}/inbound"
shared_requests = true
retry_delays_s = {retries}
resend_after_s = {{alert = 2.0}}
"""
LANE_TABLE = """\
[tenants.{name}.lanes.{lane}]
messaging_service_sid = "{service}"
rate = {rate}
"""


def tenants_text(door: str, tokens: Sequence[str], rate: int) -> str:
    """The file's text. `door`: URL of the ingress; `tokens`: auth tokens, the first logs in; `rate`: segments a second
    of every lane but the slow one."""
    listed = ", ".join(f'"{token}"' for token in tokens)
    parts = []
    for name, lanes in LANES.items():
        parts.append(TENANT_TABLE.format(name=name, account=ACCOUNT, retries=RETRIES_S, tokens=listed, door=door))
        for lane in lanes:
            given = SLOW_RATE if lane == SLOW_LANE else rate
            parts.append(LANE_TABLE.format(name=name, lane=lane, service=SERVICES[name, lane], rate=given))
    return "".join(parts)
