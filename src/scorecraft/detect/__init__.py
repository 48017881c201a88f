"""Does this input belong: detectors that score how far an input is from what a model was trained on."""
