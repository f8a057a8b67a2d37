"""What pncviz brings itself, through the same hooks as everyone."""
