#!/usr/bin/env bash
# The main job, end to end, on this machine: `./demo.sh --help` says what can be chosen.
set -eo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$root/scripts/setup_env.sh"
source "$root/scripts/activate.sh"
exec gsc demo "$@"
