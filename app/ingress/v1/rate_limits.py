"""Rate limits of `/v1`, in this process alone: by client address before a key is looked up, then by key.

Webhooks are never limited: Twilio takes a 429 for a failed webhook.
"""

import ipaddress
import math
from collections import OrderedDict

# Names remembered at once; an entry is about 200 bytes.
MAX_NAMES = 50_000
BURST_S = 2.0
# Whoever has one address of IPv6 has the 2^64 of its network.
IPV6_PREFIX = 64


class RateLimiter:
    """A token bucket per name, by the generic cell rate algorithm: one number each, when its bucket is full again.

    `rate`: per second, 0 means no limit; a bucket holds `BURST_S` seconds of it. No more than `most` names are kept:
    the one that was seen longest ago is forgotten, and has a full bucket then.
    """

    def __init__(self, rate: float, most: int = MAX_NAMES) -> None:
        self._step_s = 1 / rate if rate else 0.0
        self._depth_s = max(BURST_S, self._step_s)
        self._most = most
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, now_s: float) -> float:
        """Take a token; 0.0 if there was one, else the seconds until there is. `now_s`: of a monotonic clock."""
        if not self._step_s:
            return 0.0
        full_at = max(now_s, self._full_at_s.get(name, now_s)) + self._step_s
        if (wait_s := full_at - now_s - self._depth_s) > 1e-9:
            self._full_at_s.move_to_end(name)  # a name that is refused is seen, too
            return wait_s
        self._full_at_s[name] = full_at
        self._full_at_s.move_to_end(name)
        if len(self._full_at_s) > self._most:
            self._full_at_s.popitem(last=False)
        return 0.0


def retry_after(wait_s: float) -> str:
    """The value of Retry-After: whole seconds, at least one."""
    return str(max(1, math.ceil(wait_s)))


def client_name(host: str) -> str:
    """What a client is counted by: its address, of IPv6 its network; what is no address, itself cut short."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
