"""The run store: what a training wrote, and reading it back."""
