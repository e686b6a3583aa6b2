"""Records → Plan: what would change, in which order, and whether that is safe."""
