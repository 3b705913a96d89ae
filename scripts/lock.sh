#!/bin/sh
# Writes requirements.lock: every package of every extra, pinned and hashed, for Python 3.11 and newer.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${1:-.venv/bin/python}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv

# Only the public index is asked: a wheel from a folder of this machine would bring a hash that nobody else can match.
env -u UV_FIND_LINKS -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_INDEX_URL \
    "$work/venv/bin/uv" --no-config pip compile pyproject.toml scripts/build.in \
    --all-extras --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-build-options \
    --output-file "$work/pins"
{
    echo "# Every package of every extra, with the hashes of its published files. Write it anew with: make lock"
    cat "$work/pins"
} >"$work/lock"
cp "$work/lock" requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) packages"
