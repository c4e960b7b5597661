"""The one engine: phases played, gradients taken, players moved."""
