#!/bin/sh
# Runs every quick check, to the end, and says which failed.
set -u
cd "$(dirname "$0")/.."
BIN=.venv/bin
failed=

run() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        printf 'ok      %s\n' "$name"
    else
        printf '%s\nFAILED  %s\n' "$output" "$name"
        failed="$failed $name"
    fi
}

run format "$BIN/ruff" format --check
run lint "$BIN/ruff" check
run types "$BIN/mypy"
run floors "$BIN/lint-imports" --no-logo
run tests "$BIN/pytest" -n "${JOBS:-2}" --dist loadfile -m "not long and not slow" tests/unit tests/house
[ -z "$failed" ] || { printf 'failed:%s\n' "$failed"; exit 1; }
