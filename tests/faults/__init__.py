"""Faults of whole processes: builds that are killed, stopped, starved of disk, files or memory, and what is left."""
