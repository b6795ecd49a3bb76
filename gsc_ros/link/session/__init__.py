"""The two ends of a link, without sockets and clocks: streams, requests, reports."""
