"""Whether patterns and contrasts are alike beyond chance, how surely, and how nearly as they could be."""
