"""How many bytes each camera may send, and when. Takes ``now_ns``, reads no clock."""
