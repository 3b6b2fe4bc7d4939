"""Why the ingress ends a connection, and what it answers before."""

from collections.abc import Mapping
from enum import StrEnum, auto

from app.ingress.http.responses import Answer, problem


class CloseReason(StrEnum):
    """Why a connection was ended; a closed list, for it is a label."""

    SILENT = auto()
    HEAD_TOO_LONG = auto()
    HEAD_TOO_SLOW = auto()
    FRAMING_TOO_LONG = auto()
    BODY_TOO_SLOW = auto()
    BODY_UNWANTED = auto()
    ANSWERS_UNREAD = auto()
    UPGRADE = auto()
    NO_HTTP = auto()
    HEADER_REPEATED = auto()
    HEADER_CHARACTERS = auto()
    TRANSFER_CODING = auto()


# A client that said nothing gets no answer.
ANSWERS: Mapping[CloseReason, Answer] = {
    CloseReason.HEAD_TOO_LONG: problem(431, "the head of the request is too long"),
    CloseReason.HEAD_TOO_SLOW: problem(408, "the head of the request took too long"),
    CloseReason.FRAMING_TOO_LONG: problem(431, "trailers, or what frames the body, are too long"),
    CloseReason.BODY_TOO_SLOW: problem(408, "the body took too long"),
    CloseReason.UPGRADE: problem(400, "no other protocol is spoken here: send it without Upgrade"),
    CloseReason.NO_HTTP: problem(400, "this is not HTTP"),
    CloseReason.HEADER_REPEATED: problem(400, "a header that may stand there once stands there twice"),
    CloseReason.HEADER_CHARACTERS: problem(
        400, "a header that is read holds control characters, or one goes on in another line"
    ),
    CloseReason.TRANSFER_CODING: problem(400, "the transfer coding may be chunked alone, and in HTTP/1.1 only"),
}
