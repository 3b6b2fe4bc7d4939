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

# uv does in seconds what pip does in half a minute; either checks every hash. The lock is complete: nothing is resolved
# anew, which some versions of pip do for a requirement with extras, against whatever is newest that day.
install_locked() {
  command -v uv >/dev/null && uv pip install --quiet --no-deps --require-hashes --python .venv/bin/python -r "$1" 2>/dev/null && return
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$1"
}

ensure_venv() {
  local lock=ops/locks/dev.lock stamp=.venv/lock.sha256 want python
  want=$(sha256sum "$lock" | cut -d' ' -f1)
  # The interpreter it was made from may be gone since.
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -c '' 2>/dev/null && return
  python=$(find_python) || exit 1
  echo "making .venv from $lock ..." >&2
  rm -rf .venv
  "$python" -m venv .venv >/dev/null 2>&1 || fail "$python cannot make a virtual environment: apt-get install python3-venv"
  install_locked "$lock" || fail "the locked packages could not be installed: is a package registry in reach?"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
    || fail "the project itself could not be installed"
  # The pip and setuptools that Python brings along are as old as it is; nothing here runs with them.
  .venv/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes setuptools pip \
    || fail "pip and setuptools could not be taken out of .venv"
  echo "$want" > "$stamp"
}

# Tests and the demo send to the simulator they start, on settings of their own, whatever the environment holds.
only_our_environment() {
  local name
  for name in $(compgen -e | grep -E '^(TWILIO_|HELIOGRAPH_|KAFKA_|PORT$)' || true); do
    case $name in HELIOGRAPH_CACHE | KAFKA_BOOTSTRAP_SERVERS) ;; *) unset "$name" ;; esac
  done
}

# A broker given, or a Docker engine, or Java with Maven (Maven only for the first fetch).
ensure_broker_tools() {
  [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ] && return
  docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && return
  command -v java >/dev/null || fail "Java 17 or newer is missing (it runs Kafka): apt-get install openjdk-17-jre-headless"
  compgen -G "${HELIOGRAPH_CACHE:-$HOME/.cache/heliograph}/kafka-*/complete" >/dev/null && return
  command -v mvn >/dev/null || fail "Maven is missing (it fetches Kafka): apt-get install maven"
}

# The read model is tested on a real PostgreSQL too: the one installed, or Debian's packages unpacked beside our caches.
ensure_postgresql() {
  local cache=${HELIOGRAPH_CACHE:-$HOME/.cache/heliograph}/postgresql scratch bin names
  for bin in "$(dirname "$(command -v initdb || echo /none/)")" /usr/lib/postgresql/*/bin "$cache"/usr/lib/postgresql/*/bin; do
    [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && { export PATH="$bin:$PATH"; return; }
  done
  if command -v apt-get >/dev/null; then
    echo "fetching PostgreSQL ..." >&2
    scratch=$(mktemp -d)
    # What apt would install beside what is there already, libraries included.
    names='apt-get install --print-uris -qq --no-install-recommends postgresql'
    (cd "$scratch" && { $names >list || { apt-get update -qq && $names >list; }; } &&
      apt-get download -qq $(cut -d' ' -f2 list | cut -d_ -f1)) >/dev/null 2>&1 &&
      mkdir -p "$cache" && for deb in "$scratch"/*.deb; do dpkg -x "$deb" "$cache"; done
    rm -rf "$scratch"
  fi
  for bin in "$cache"/usr/lib/postgresql/*/bin; do
    [ -x "$bin/initdb" ] && { export PATH="$bin:$PATH"; return; }
  done
  fail "PostgreSQL is missing (the read model is tested on it): apt-get install postgresql"
}

# Alerts and board are run on a real Prometheus: the one on the PATH, or Debian's package unpacked beside our other caches.
ensure_prometheus() {
  command -v prometheus >/dev/null && command -v promtool >/dev/null && return
  local cache=${HELIOGRAPH_CACHE:-$HOME/.cache/heliograph}/prometheus scratch
  if [ ! -x "$cache/usr/bin/promtool" ] && command -v apt-get >/dev/null; then
    echo "fetching Prometheus ..." >&2
    scratch=$(mktemp -d)
    (cd "$scratch" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }) \
      >/dev/null 2>&1 && mkdir -p "$cache" && dpkg -x "$scratch"/prometheus_*.deb "$cache"
    rm -rf "$scratch"
  fi
  [ -x "$cache/usr/bin/promtool" ] || fail "Prometheus is missing (alerts and board are run on it): apt-get install prometheus"
  export PATH="$cache/usr/bin:$PATH"
}
