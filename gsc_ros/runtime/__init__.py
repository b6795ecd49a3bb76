"""Processes and threads: node processes, worker threads, tuning of this process."""
