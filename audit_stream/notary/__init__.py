"""The notary: writes the archive log, its checkpoints and tiles; reads and proves them."""
