"""Plays back what Lean answered, or records it: a program that reads a text and answers as on the tape.

    python lean_tape.py TAPE.json                    answers from the tape; ends with 3 for a text that is not on it
    python lean_tape.py TAPE.json -- lean ...        asks Lean for what is not on the tape, and puts it there

What comes after the tape or the command (``--json --stdin``) is handed on. Only the messages are kept, a JSON object a
line.
"""

import json
import subprocess
import sys
from pathlib import Path

tape, rest = Path(sys.argv[1]), sys.argv[2:]
turns = json.loads(tape.read_text(encoding="utf-8")) if tape.is_file() else []
asked = sys.stdin.read()
turn = next((turn for turn in turns if turn["stdin"] == asked), None)
if turn is None and rest[:1] == ["--"]:
    done = subprocess.run(rest[1:], input=asked, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    turn = {"stdin": asked, "stdout": lines, "exit": done.returncode}
    turns.append(turn)
    tape.write_text(json.dumps(turns, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
if turn is None:
    sys.exit(3)
print("\n".join(turn["stdout"]))
sys.exit(turn["exit"])
