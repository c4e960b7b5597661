"""Disk, device, memory and processes."""
