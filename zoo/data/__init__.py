"""Images served by their position in an endless sequence."""
