"""The reason of an outcome in one phrase."""

from typing import Any


def why(outcome: dict[str, Any]) -> str:
    """The reason, with Twilio's code; where a rule was broken, the field and the rule too."""
    code = f" ({outcome['error_code']})" if outcome.get("error_code") else ""
    broken = f", {outcome['field']} {outcome['rule']}" if outcome.get("field") else ""
    return f"{outcome['reason']}{code}{broken}"
