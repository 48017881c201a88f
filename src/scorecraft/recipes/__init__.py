"""One training run, written down, checked and carried out."""
