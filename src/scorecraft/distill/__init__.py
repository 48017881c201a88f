"""What a teacher's score teaches: which traces to learn from, and how much of a teacher to trust."""
