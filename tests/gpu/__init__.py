"""``make gpu``: what only a machine with a GPU can tell, in the order of worth, within its minutes."""
