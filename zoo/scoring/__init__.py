"""Scores of images against images: two folders, archives, runs or data sets, under a protocol by name."""
