"""Standard codecs at their best setting under a ceiling."""
