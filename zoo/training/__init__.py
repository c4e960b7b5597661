"""``zoo build``: its stages, the loop, and who looks on."""
