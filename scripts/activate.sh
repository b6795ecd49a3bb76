# Source me from bash: enters the environment that scripts/setup_env.sh made, on top of ROS 2 if
# that is sourced. After it `gsc`, `python` and (with ROS) `ros2 run gsc_ros ...` work.
_gsc_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$_gsc_root/.venv${ROS_DISTRO:+-$ROS_DISTRO}/bin/activate"
if [ -n "${ROS_DISTRO:-}" ]; then
  source "$_gsc_root/install/local_setup.bash"
  PATH=$_gsc_root/install/gsc_ros/lib/gsc_ros:$PATH
fi
unset _gsc_root
