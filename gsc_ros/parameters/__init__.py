"""What can be set on each node: declarative tables and their checks."""
