"""Numbers that misbehave: +1 500 555 0100 to 0199, beside Twilio's magic numbers +1 500 555 0001 to 0009.

555-01xx is kept for fiction in the North American plan: nobody has these numbers. README.md holds the same table, and a
test compares them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.simulator.faults import RecipientScript

PREFIX = "+150055501"

RESERVED: Mapping[str, RecipientScript] = MappingProxyType(
    {
        PREFIX + digits: script
        for digits, script in {
            "00": RecipientScript(),
            "01": RecipientScript(end="undelivered:30003"),
            "02": RecipientScript(end="undelivered:30004"),
            "03": RecipientScript(end="undelivered:30005"),
            "04": RecipientScript(end="undelivered:30006", line="landline"),
            "05": RecipientScript(end="undelivered:30007"),
            "06": RecipientScript(end="undelivered:30008"),
            "07": RecipientScript(end="failed:30001"),
            "08": RecipientScript(end="undelivered:30022"),
            "09": RecipientScript(end="undelivered:30034"),
            "10": RecipientScript(end="silent"),
            "11": RecipientScript(end="read"),
            "12": RecipientScript(end="stuck"),
            "13": RecipientScript(end="corrected:30003"),
            "14": RecipientScript(end="contradicted:30003"),
            "15": RecipientScript(media_end="undelivered:30011"),
            "16": RecipientScript(end="undelivered:30017", times=1),
            "17": RecipientScript(end="failed:30036"),
            "18": RecipientScript(end="undelivered:30450"),
            "19": RecipientScript(end="undelivered:30023"),
            "20": RecipientScript(faults=("throttle",)),
            "21": RecipientScript(faults=("throttle",), times=1),
            "22": RecipientScript(faults=("error_500",)),
            "23": RecipientScript(faults=("accept_then_500",)),
            "24": RecipientScript(faults=("timeout",)),
            "25": RecipientScript(faults=("accept_then_timeout",)),
            "26": RecipientScript(faults=("error_503",)),
            "27": RecipientScript(faults=("accept_then_503",)),
            "28": RecipientScript(faults=("error_html",)),
            "29": RecipientScript(faults=("accept_then_html",)),
            "30": RecipientScript(faults=("accept_then_cut",)),
            "31": RecipientScript(faults=("slow",)),
            "32": RecipientScript(refusal=21611, times=1),
            "40": RecipientScript(faults=("duplicate",)),
            "41": RecipientScript(faults=("lost",)),
            "42": RecipientScript(faults=("late",)),
            "43": RecipientScript(faults=("reorder",)),
            "44": RecipientScript(faults=("before_response",)),
            "50": RecipientScript(says="STOP"),
            "51": RecipientScript(says="Thanks!"),
            "52": RecipientScript(says="HELP"),
            "53": RecipientScript(end="failed:21610"),
            "54": RecipientScript(faults=("inbound_duplicate",)),
            "55": RecipientScript(faults=("inbound_lost",)),
            "60": RecipientScript(line="nonFixedVoip"),
            "61": RecipientScript(line="error:60600"),
            "62": RecipientScript(faults=("lookup_timeout",)),
            "63": RecipientScript(faults=("lookup_throttle",)),
            "64": RecipientScript(faults=("lookup_500",)),
            "65": RecipientScript(faults=("lookup_503",)),
        }.items()
    }
)
