#!/usr/bin/env bash
# Build the documentation site into site/. A dead link is an error.
#
#   bash tools/build_docs.sh [options of mkdocs build]
#   bash tools/build_docs.sh serve     show it while you write
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$PWD/.venv-docs
if ! cmp -s docs/requirements.txt "$venv/requirements.txt"; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --disable-pip-version-check -q -r docs/requirements.txt
    cp docs/requirements.txt "$venv/requirements.txt"
fi
export NO_MKDOCS_2_WARNING=1
if [ "${1:-}" = serve ]; then
    exec "$venv/bin/mkdocs" "$@"
fi
exec "$venv/bin/mkdocs" build --quiet "$@"
