"""How fast to send: ceiling, pacing, congestion control and what it is measured from."""
