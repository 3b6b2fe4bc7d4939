"""Numbers that misbehave: +1 500 555 0100 to 0199, beside Twilio's magic numbers +1 500 555 0001 to 0009.

555-01xx is kept for fiction in the North American plan: nobody has these numbers. README.md holds the same table, and a
test compares them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.simulator.faults import Script

PREFIX = "+150055501"

RESERVED: Mapping[str, Script] = MappingProxyType(
    {
        PREFIX + digits: script
        for digits, script in {
            "00": Script(),
            "01": Script(end="undelivered:30003"),
            "02": Script(end="undelivered:30004"),
            "03": Script(end="undelivered:30005"),
            "04": Script(end="undelivered:30006", line="landline"),
            "05": Script(end="undelivered:30007"),
            "06": Script(end="undelivered:30008"),
            "07": Script(end="failed:30001"),
            "08": Script(end="undelivered:30022"),
            "09": Script(end="undelivered:30034"),
            "10": Script(end="silent"),
            "11": Script(end="read"),
            "12": Script(end="stuck"),
            "13": Script(end="corrected:30003"),
            "14": Script(end="contradicted:30003"),
            "15": Script(media_end="undelivered:30011"),
            "16": Script(end="undelivered:30017", times=1),
            "17": Script(end="failed:30036"),
            "18": Script(end="undelivered:30450"),
            "19": Script(end="undelivered:30023"),
            "20": Script(faults=("throttle",)),
            "21": Script(faults=("throttle",), times=1),
            "22": Script(faults=("error_500",)),
            "23": Script(faults=("accept_then_500",)),
            "24": Script(faults=("timeout",)),
            "25": Script(faults=("accept_then_timeout",)),
            "26": Script(faults=("error_503",)),
            "27": Script(faults=("accept_then_503",)),
            "28": Script(faults=("error_html",)),
            "29": Script(faults=("accept_then_html",)),
            "30": Script(faults=("accept_then_cut",)),
            "31": Script(faults=("slow",)),
            "32": Script(refusal=21611, times=1),
            "40": Script(faults=("duplicate",)),
            "41": Script(faults=("lost",)),
            "42": Script(faults=("late",)),
            "43": Script(faults=("reorder",)),
            "44": Script(faults=("before_response",)),
            "50": Script(says="STOP"),
            "51": Script(says="Thanks!"),
            "52": Script(says="HELP"),
            "53": Script(end="failed:21610"),
            "54": Script(faults=("inbound_duplicate",)),
            "55": Script(faults=("inbound_lost",)),
            "60": Script(line="nonFixedVoip"),
            "61": Script(line="error:60600"),
            "62": Script(faults=("lookup_timeout",)),
            "63": Script(faults=("lookup_throttle",)),
            "64": Script(faults=("lookup_500",)),
            "65": Script(faults=("lookup_503",)),
        }.items()
    }
)
