#!/usr/bin/env bash
# Runs a command where ROS 2 and the workspace are set up.
set -e
source /ros2_ws/install/setup.bash
exec "$@"
