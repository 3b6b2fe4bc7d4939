"""Routes to what the simulated account holds, and /_sim/account, which puts it in place (`holdings.Seed`).

    curl $T/_sim/account -d '{"numbers": [{"phone_number": "+14155550100"}], "services": [{"friendly_name": "main"}]}'

At first the numbers are the senders, and any number and service may send; once numbers or services are put in place or
made, those alone may (`senders`). With the SDK: `client.messaging.base_url = "http://127.0.0.1:4010"`, too.
"""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator.account_access import AccountAccess, answered
from app.simulator.account_data import AccountSeed, SimulatedAccount
from app.simulator.numbers import Numbers
from app.simulator.services import Services


def account_routes(sid: str, holdings: SimulatedAccount, guard: AccountAccess) -> Sequence[Route]:
    """Numbers, services, registrations, the account."""
    services, numbers = Services(sid, holdings, guard), Numbers(sid, holdings, guard)
    account, service = "/2010-04-01/Accounts/{account}", "/v1/Services/{sid}"
    read, write = ["GET"], ["GET", "POST"]

    async def seed(request: Request) -> Response:
        """POST puts in place, DELETE forgets; all is shown, how many requests came, how many writes were taken."""
        if request.method == "POST":
            try:
                holdings.seed(msgspec.json.decode(await request.body(), type=AccountSeed))
            except (msgspec.MsgspecError, ValueError) as bad:
                return answered(400, {"error": str(bad)})
        elif request.method == "DELETE":
            holdings.clear()
        held = {"account": holdings.account, "numbers": holdings.numbers, "services": holdings.services}
        counts = {"asked": holdings.asked, "changes": holdings.changes}
        told = {**held, **counts, "verifications": holdings.verifications, "described": holdings.described}
        return answered(200, msgspec.to_builtins(told))

    return [
        Route(f"{account}.json", numbers.account, methods=read),
        Route(f"{account}/IncomingPhoneNumbers.json", numbers.every, methods=read),
        Route(f"{account}/IncomingPhoneNumbers/{{sid}}.json", numbers.one, methods=write),
        Route("/v1/Tollfree/Verifications", numbers.verifications, methods=read),
        Route("/v1/Services", services.every, methods=write),
        Route(service, services.one, methods=[*write, "DELETE"]),
        Route(f"{service}/PhoneNumbers", services.numbers, methods=write),
        Route(f"{service}/PhoneNumbers/{{number}}", services.number, methods=["DELETE"]),
        Route(f"{service}/ShortCodes", services.short_codes, methods=read),
        Route(f"{service}/AlphaSenders", services.alpha_senders, methods=read),
        Route(f"{service}/Compliance/Usa2p", services.campaigns, methods=read),
        Route("/_sim/account", seed, methods=[*write, "DELETE"]),
    ]
