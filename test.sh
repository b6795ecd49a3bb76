#!/usr/bin/env bash
# Set up, then lint, types and the whole test suite. With arguments: pytest alone, with those, from
# the root of the clone; the quick tier is ./test.sh -m 'not slow'.
set -eo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$root/scripts/setup_env.sh"
source "$root/scripts/activate.sh"

cd "$root"
if (( $# == 0 )); then
  ruff check .
  mypy
fi
python -m pytest -q "$@"
