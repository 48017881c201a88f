"""The usual names of columns in files of completions, in the order in which they are looked for."""

PROMPTS = ("prompt", "question", "problem", "input", "query", "instruction")
COMPLETIONS = ("completion", "response", "output", "text", "generation", "prediction")
ANSWERS = ("answer", "ground_truth", "solution", "target", "gts", "reference", "expected")
