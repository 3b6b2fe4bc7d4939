# Sourced by ops/demo and ops/test: makes .venv from the hashed lock file when it is missing or the lock changed.
fail() { echo "error: $*" >&2; exit 1; }

find_python() {
  local name
  for name in python3.11 python3.12 python3.13 python3; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"; return
    fi
  done
  fail "Python 3.11 or newer is missing: apt-get install python3 python3-venv"
}

ensure_venv() {
  local lock=ops/locks/dev.lock stamp=.venv/lock.sha256 want python
  want=$(sha256sum "$lock" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
  python=$(find_python) || exit 1
  echo "making .venv from $lock ..." >&2
  rm -rf .venv
  "$python" -m venv .venv 2>/dev/null || fail "$python cannot make a virtual environment: apt-get install python3-venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" \
    || fail "the locked packages could not be installed: is a package registry in reach?"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
    || fail "the project itself could not be installed"
  echo "$want" > "$stamp"
}

ensure_broker_tools() {
  [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ] && return
  command -v java >/dev/null || fail "Java 17 or newer is missing (it runs Kafka): apt-get install openjdk-17-jre-headless"
  command -v mvn >/dev/null || fail "Maven is missing (it fetches Kafka): apt-get install maven"
}
