"""What is asked and what is the truth: wind-tunnel families, reasoning-gym data sets, JSONL files."""
