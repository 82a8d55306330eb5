"""How stage lays out each form of input below /input: JSON, other files, archives, images."""
