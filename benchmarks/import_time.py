"""How long does `import scorecraft` take, and does it pull in torch?

Measured as the median of fresh interpreters, against an interpreter that imports nothing.
"""

from __future__ import annotations

import subprocess
import sys

from measuring import median_seconds, record


def seconds(code: str) -> float:
    """Return the median time of a fresh interpreter running ``code``."""
    return median_seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True), repeats=9)


def main() -> None:
    """Measure and record."""
    empty = seconds("pass")
    figures = {"interpreter_seconds": empty}
    for name in ("scorecraft", "scorecraft.stats", "scorecraft.tasks.parts", "scorecraft.cli.main", "torch"):
        figures[name] = seconds(f"import {name}") - empty
        code = f"import sys, {name}; print('torch' in sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        print(f"import {name:24} {figures[name]:.3f} s, torch loaded: {loaded}")
        figures[f"{name} loads torch"] = loaded == "True"
    record("import_time", {"seconds_beyond_the_interpreter": figures, "goal": {"scorecraft": 0.3}})


if __name__ == "__main__":
    main()
