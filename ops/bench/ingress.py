"""Verified status callbacks, on the log with acks=all, of one ingress process. Beside it: Starlette answering without
work (`empty`), uvicorn alone (`bare`), Starlette with the SDK's validator and `send_and_wait` (`sdk`), and the least
that can be written: raw ASGI, own HMAC, the form produced as it came (`raw`). wrk, 64 connections, in turns, medians.

Then what a person would notice: signed callbacks at 300 a second with 5,000 unsigned ones beside them, while a second
worker joins the first and leaves again, and with Kafka paused (the spool takes them).
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent))
from fold import cpu_s
from steady import steady

from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import apply_topics
from app.dev.process import ChildProcess
from app.dev.process_env import bare
from app.provider.webhooks import signature

ROOT = Path(__file__).parents[2]
ACCOUNT, TOKEN, PUBLIC = "AC" + "a" * 32, "token-of-the-bench", "https://hooks.example.com/twilio/status"
DISTINCT = 20_000
LUA = """
local requests, n = {{}}, 0
for line in io.lines("{path}") do
  local target, sent, body = line:match("^(%S+) (%S+) (%S+)$")
  local headers = {{["X-Twilio-Signature"] = sent, ["Content-Type"] = "application/x-www-form-urlencoded"}}
  requests[#requests + 1] = wrk.format("POST", target, headers, body)
end
function request() n = n % #requests + 1; return requests[n] end
"""


def callback(n: int) -> tuple[str, str, str]:
    """Target, signature and body of the n-th status callback: some 20 fields, as Twilio sends them."""
    message = f"{n % 5000:020x}-{n:020x}"
    query = f"m={message}&a=1"
    sid, person = f"SM{n:032x}", f"+1212555{100 + n % 100:04d}"
    fields = {
        "ChannelPrefix": "", "ApiVersion": "2010-04-01", "MessageStatus": "delivered", "SmsSid": sid,
        "SmsStatus": "delivered", "ErrorMessage": "", "ErrorCode": "", "To": person, "From": "+15005550006",
        "MessageSid": sid, "AccountSid": ACCOUNT, "MessagingServiceSid": "MG" + "2" * 32,
        "RawDlrDoneDate": "2603031000",
        "ChannelInstallSid": "", "ChannelStatusMessage": "", "EventType": "", "FromCity": "", "FromState": "NY",
        "ToCity": "NEW YORK", "ToCountry": "US",
    }  # fmt: skip
    form = list(fields.items())
    return f"/twilio/status?{query}", signature(TOKEN, f"{PUBLIC}?{query}", form), urlencode(form)


class Bench:
    """Servers one at a time, all on the same broker."""

    def __init__(self, directory: Path, servers: str) -> None:
        self.directory, self.prefix = directory, f"bench{int(time.time())}."
        self.env = bare(os.environ) | {
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "HELIOGRAPH_SPOOL_DIR": str(directory / "spool"),
            "HELIOGRAPH_PSEUDONYM_KEY": "11" * 32,
            "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_STATUS_CALLBACK_URL": PUBLIC,
        }
        asyncio.run(apply_topics(self.env))
        self.calls = [callback(n) for n in range(DISTINCT)]
        (directory / "callbacks").write_text("\n".join(" ".join(call) for call in self.calls))
        (directory / "wrk.lua").write_text(LUA.format(path=directory / "callbacks"))

    @contextmanager
    def running(self, name: str):
        """Url and pid of a server."""
        if name == "ingress":
            part = ChildProcess(
                "ingress", ["ingress", "--port", "0", "--internal-port", "0"], self.env, self.directory / "log"
            )
            part.start()
            part.wait()
            try:
                yield part.ready["ingress"], part.pid
            finally:
                part.stop()
            return
        port, given = free_port(), {"TOPIC": f"{self.prefix}notify.requests", "PUBLIC": PUBLIC, "TOKEN": TOKEN}
        command = [sys.executable, str(ROOT / "ops/bench/rivals.py"), name, str(port)]
        given = self.env | given | {"PYTHONPATH": "."}
        # In a session of its own, as the ingress is: Linux shares its time among sessions.
        with subprocess.Popen(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, start_new_session=True) as rival:
            try:
                assert rival.stdout.readline() == b"ready\n", f"{name} did not start"
                yield f"http://127.0.0.1:{port}", rival.pid
            finally:
                rival.terminate()

    def worker(self, number: int) -> ChildProcess:
        """Folds the callbacks; sends nothing, for nothing is asked of it."""
        # Nobody is there: nothing is asked of it.
        own = {
            "TWILIO_API_BASE_URL": "http://127.0.0.1:9",
            "HELIOGRAPH_DATA_DIR": str(self.directory / f"worker-{number}"),
            "HELIOGRAPH_INTERNAL_PORT": "0",
        }
        return ChildProcess(f"worker-{number}", ["worker"], self.env | own, self.directory / f"worker-{number}.log")

    def loaded(self, name: str, seconds: float) -> dict:
        """One run of wrk."""
        with self.running(name) as (url, pid):
            self._wrk(url, 1)
            before = cpu_s(pid)
            said = self._wrk(url, seconds)
            spent = cpu_s(pid) - before
        count, rate = (
            float(re.search(pattern, said)[1]) for pattern in (r"(\d+) requests in", r"Requests/sec:\s+([\d.]+)")
        )
        assert "Non-2xx" not in said, said
        ms = {name: _ms(re.search(rf"\s{name}%\s+(\S+)", said)[1]) for name in (50, 99)}
        return {"per_s": rate, "p50_ms": ms[50], "p99_ms": ms[99], "cpu_us": spent / count * 1e6}

    def _wrk(self, url: str, seconds: float) -> str:
        command = ["wrk", "-t1", "-c64", f"-d{seconds:g}s", "--latency", "-s", str(self.directory / "wrk.lua"), url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _ms(text: str) -> float:
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def _median(runs: list[dict]) -> dict:
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}


def run(rounds: int, seconds: float, part: str) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory, given = Path(folder), os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        try:
            bench = Bench(directory, given or broker.start())
            result = beside(bench, rounds, seconds) if part != "steady" else {}
            return result | ({"steady_300_per_s": steady(bench, broker, max(seconds, 20))} if part != "load" else {})
        finally:
            if broker:
                broker.stop()


def beside(bench: Bench, rounds: int, seconds: float) -> dict:
    """In turns, so that what the machine does besides meets all alike."""
    runs = {name: [] for name in ("empty", "ingress", "sdk", "raw", "bare")}
    for _ in range(rounds):
        for name, found in runs.items():
            found.append(bench.loaded(name, seconds))
    told = {name: _median(found) for name, found in runs.items()}
    ratios = {
        other: round(
            statistics.median(a["per_s"] / b["per_s"] for a, b in zip(runs["ingress"], runs[other], strict=True)), 2
        )
        for other in ("sdk", "empty", "raw", "bare")
    }
    return told | {f"ratio_to_{other}": ratio for other, ratio in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--part", choices=["all", "load", "steady"], default="all")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run(given.rounds, given.seconds, given.part)
    print(json.dumps(result) if given.json else "\n".join(f"{name:18} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
