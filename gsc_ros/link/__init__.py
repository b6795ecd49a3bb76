"""The thin link: datagrams between a robot and its base station, without ROS (docs/LINK.md)."""
