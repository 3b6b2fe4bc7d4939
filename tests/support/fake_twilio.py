"""Somebody else's Twilio in forty lines: takes creates, refuses one number, reports back, signed with `TOKEN`."""

import base64
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urldefrag, urlencode
from urllib.request import Request, urlopen

ACCOUNT, TOKEN, INVALID = "AC" + "a" * 32, "token-of-forty", "+15005550001"


class FakeTwilioHandler(BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str], list[tuple[str, str]]]] = []  # request line, headers, form
    answered: list[int] = []  # with what HTTP status each report was

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(raw))
        self.asked.append((self.requestline, dict(self.headers), parse_qsl(raw)))
        sid = f"SM{len(self.asked):032x}"
        if form["To"] == INVALID:
            self.say(400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400})
        else:
            self.say(201, {"sid": sid, "status": "queued", "num_segments": "1", "to": form["To"], "error_code": None})
            threading.Thread(target=self.report, args=(sid, urldefrag(form["StatusCallback"])[0])).start()

    def say(self, status: int, body: dict[str, object]) -> None:
        self.wfile.write(
            b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n\r\n" % status + json.dumps(body).encode()
        )

    def report(self, sid: str, url: str) -> None:
        for status in ("sent", "delivered"):
            form = {"AccountSid": ACCOUNT, "ErrorCode": "", "MessageSid": sid, "MessageStatus": status}
            signed = url + "".join(name + value for name, value in sorted(form.items()))
            signature = base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()
            with urlopen(Request(url, urlencode(form).encode(), {"X-Twilio-Signature": signature})) as answer:
                self.answered.append(answer.status)
