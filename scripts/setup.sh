#!/bin/sh
# Makes this checkout ready: system packages, .venv, the locked packages, the project itself.
#
#   scripts/setup.sh demo    what running Steward needs
#   scripts/setup.sh test    and what the tests need: the real servers, a browser, tools that read PDFs
#
# Safe to run again: it says nothing and ends at once when nothing has changed.
set -eu
cd "$(dirname "$0")/.."
KIND=${1:-demo}
VENV=.venv
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$@" >&2; }
fail() {
    say "$@"
    exit 1
}

# --- what is missing -----------------------------------------------------------------------------------------------

has_command() { command -v "$1" >/dev/null 2>&1; }
has_library() { printf '%s\n' "$LIBRARIES" | grep -q "$1"; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Sets `found` to the best Python there is, or to nothing.
find_python() {
    found=
    for name in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        is_new_enough "$name" || continue
        can_make_venv "$name" && found=$name && return 0
        found=${found:-$name}
    done
}

missing_python() {
    is_new_enough "$VENV/bin/python" && return 0
    find_python
    if [ -z "$found" ]; then
        echo python3 python3-venv
    elif ! can_make_venv "$found"; then
        "$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    fi
}

missing_packages() {
    missing_python
    LIBRARIES=$(ldconfig -p 2>/dev/null || true)
    has_library 'libpango-1\.0\.so\.0' || echo libpango-1.0-0
    has_library 'libpangoft2-1\.0\.so\.0' || echo libpangoft2-1.0-0
    has_library 'libharfbuzz-subset\.so\.0' || echo libharfbuzz-subset0
    [ "$KIND" = test ] || return 0
    has_command smtp-sink || echo postfix
    has_command redis-server || echo redis-server
    has_command rabbitmq-server || echo rabbitmq-server
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || has_command initdb || echo postgresql
    has_command pdftotext || echo poppler-utils
    has_command chromium || has_command chromium-browser || has_command google-chrome || echo chromium
}

# --- system packages -----------------------------------------------------------------------------------------------

# Runs as root. Nothing is removed to make room, and no server is started: the tests start their own.
INSTALL='
set -eu
export DEBIAN_FRONTEND=noninteractive
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
    printf "#!/bin/sh\nexit 101\n" >"$guard" && chmod 755 "$guard"
    trap "rm -f $guard" EXIT
    trap "exit 1" INT TERM
fi
tries=0
until apt-get update -qq -o Acquire::Retries=3; do
    tries=$((tries + 1))
    [ "$tries" -lt 3 ] || break
    sleep 3
done
for name in "$@"; do
    # Where chromium is only to be had under its other name.
    if [ "$name" = chromium ] && ! apt-cache show chromium >/dev/null 2>&1; then
        shift; set -- "$@" chromium-browser; continue
    fi
    if [ "$name" = postfix ] && command -v debconf-set-selections >/dev/null; then
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    fi
    shift; set -- "$@" "$name"
done
tries=0
until apt-get install -qq -y --no-install-recommends --no-remove -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Use-Pty=0 "$@" >"$LOG" 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 3 ] || { tail -n 20 "$LOG" >&2; exit 1; }
    sleep 3
done
'

install_packages() {
    status=0
    by_hand="apt-get update && apt-get install -y --no-install-recommends $*"
    has_command apt-get || fail "These are missing, and this machine has no apt-get: $*" \
        "Install them with the system's own tool, then type the same command again."
    log=$(mktemp)
    if [ "$(id -u)" = 0 ]; then
        say "Installing system packages: $*"
        printf '%s' "$INSTALL" | LOG=$log sh -s -- "$@" || status=$?
    elif has_command sudo && sudo -n true 2>/dev/null; then
        say "Installing system packages: $*"
        printf '%s' "$INSTALL" | sudo -n env LOG="$log" sh -s -- "$@" || status=$?
    else
        fail "System packages are missing. Type this, then the same command again:" "" \
            "    sudo sh -c '$by_hand'" ""
    fi
    rm -f "$log"
    [ "$status" = 0 ] || fail "System packages could not be installed. What apt-get said stands above. By hand:" "" \
        "    $by_hand" ""
}

# --- the virtual environment ---------------------------------------------------------------------------------------

fingerprint() {
    "$VENV/bin/python" -V 2>/dev/null || echo none
    cat pyproject.toml requirements.lock scripts/setup.sh | sha256sum
    pwd
}

install_locked() {
    tries=0
    until "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --retries 5 --timeout 60 \
        --require-hashes --no-deps -r requirements.lock; do
        tries=$((tries + 1))
        [ "$tries" -lt 3 ] || fail "The Python packages could not be installed; what pip said stands above."
        say "Trying again …"
        sleep 3
    done
}

make_venv() {
    # A virtual environment knows its own place: one that was moved is made anew.
    if ! is_new_enough "$VENV/bin/python" || { [ -f "$VENV/.ready" ] && [ "$(tail -n 1 "$VENV/.ready")" != "$(pwd)" ]; }; then
        find_python
        can_make_venv "$found" || fail "Python 3.11 or newer with its venv module is needed; here is: $(python3 -V 2>&1)." \
            "Install it, then type the same command again."
        say "Making $VENV with $("$found" -V)"
        "$found" -m venv --clear "$VENV"
    fi
    say "Installing $(grep -c '==' requirements.lock) Python packages, each checked against its hash"
    install_locked
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps -e .
    fingerprint >"$VENV/.ready"
    say "Ready."
}

missing=$(missing_packages)
# Word splitting makes one argument of each line.
# shellcheck disable=SC2086
[ -z "$missing" ] || install_packages $missing
[ -f "$VENV/.ready" ] && [ "$(fingerprint)" = "$(cat "$VENV/.ready")" ] || make_venv
