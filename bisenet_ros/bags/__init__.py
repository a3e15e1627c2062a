"""ROS 2 bags, read and written without ROS."""

STORAGES = ("sqlite3", "mcap")
"""The formats of a bag's files; the first is the default."""
