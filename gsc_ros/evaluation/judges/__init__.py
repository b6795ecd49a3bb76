"""Figures of a decoded picture against its source."""
