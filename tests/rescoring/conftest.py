import json

import pytest

CORRECT = "reward:\n  correct: {}\n"


@pytest.fixture
def write(tmp_path):
    """Writes rows as JSON Lines, or text as it is; returns the path."""

    def make(name, content):
        path = tmp_path / name
        text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
        path.write_text(text)
        return path

    return make


@pytest.fixture
def correct(write):
    return str(write("correct.yaml", CORRECT))
