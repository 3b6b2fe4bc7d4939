"""What is wrong with a request to `/v1/messages`, as an exception that knows its answer."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

from app.errors import HeliographError
from app.ingress.http.responses import problem


class ProblemError(HeliographError):
    """RFC 9457: `status`, `title`, the field and rule that were broken, and `headers` of the answer."""

    def __init__(
        self,
        status: int,
        title: str,
        field: str = "",
        rule: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(title)
        self.status, self.answer = status, problem(status, title, field, rule)
        self.headers = {**headers, **({"WWW-Authenticate": "Bearer"} if status == 401 else {})}

    def response(self) -> Response:
        """The response in the form of RFC 9457 (application/problem+json)."""
        status, body, kind = self.answer
        return Response(body, status, self.headers, kind.decode())


def broken(field: str, rule: str) -> ProblemError:
    """422: a rule of the request is broken."""
    return ProblemError(422, "a rule is broken", field, rule)
