"""Metrics at work."""
