"""Measures real packets: metrics, the standard codecs as peers, rate tables and reports."""
