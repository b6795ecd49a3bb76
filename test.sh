#!/usr/bin/env bash
# Set up, then lint, types and the whole test suite. With arguments: pytest alone, with those.
set -eo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$root/scripts/setup_env.sh"
source "$root/scripts/activate.sh"

if (( $# == 0 )); then
  cd "$root"
  ruff check .
  mypy
  set -- "$root/test"
fi
python -m pytest -q --rootdir "$root" --config-file "$root/pyproject.toml" "$@"
