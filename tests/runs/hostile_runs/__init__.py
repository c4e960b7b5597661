"""A run from elsewhere is data: whatever stands in its files, none of it runs, leads out, or takes the memory."""
