"""`python -m app` with faults of ours planted in it: folds, calls and handlers that raise what a person wrote.

A text that begins with a mark makes the place of that name raise an exception that says the whole text.
"""

from collections.abc import Callable
from typing import Any

from app.ingress.v1 import messages
from app.provider.twilio import TwilioProvider
from app.records.requests import NotifyRequested
from app.streams.agents.expansion import RequestExpansion
from app.streams.sending.calls import CallRunner

FOLD, CALL, DOOR = "raise in the fold ", "raise in the call ", "raise at the door "
# Where no one message can be told apart any more, so that the process ends.
WAY = "raise on the way "


class PlantedFaultError(Exception):
    """Says what it was given, as an exception of ours must not."""


def _raising(inner: Callable[..., Any], mark: str, texts: Callable[..., str]) -> Callable[..., Any]:
    def outer(*given: Any, **named: Any) -> Any:
        if (text := texts(*given)).startswith(mark):
            raise PlantedFaultError(f"{text} {given!r}")
        return inner(*given, **named)

    return outer


def plant() -> None:
    """In this process."""
    intake: Any = RequestExpansion
    intake._accepted = _raising(intake._accepted, FOLD, lambda _expansion, _record, request, _warnings: request.body)
    provider: Any = TwilioProvider
    provider.create = _raising(provider.create, CALL, lambda _provider, call, _check: call.body)
    calls: Any = CallRunner
    calls._answered = _raising(calls._answered, WAY, lambda _calls, claim, _result: claim.compose().body)
    door: Any = messages
    door._check = _raising(door._check, DOOR, lambda given, _tenant: _body(given))


def _body(given: NotifyRequested) -> str:
    return given.body


if __name__ == "__main__":
    from app.__main__ import main

    plant()
    main()
