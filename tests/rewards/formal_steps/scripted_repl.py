"""Plays a dialogue as the REPL of leanprover-community would: JSON in, blank line, JSON over several lines, blank line.

    python scripted_repl.py dialogue.json

The dialogue is a list of ``{"says": part of a command, "env": the environment it must be for, "answer": ...}``; the
first that fits is taken. "hang" and "end" instead of an answer do just that. What fits nothing is a Lean error.
"""

import json
import sys
import time
from pathlib import Path

dialogue = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
read = ""
for line in sys.stdin:
    if line.strip():
        read += line
        continue
    command, read = json.loads(read), ""
    answer = {"messages": [{"severity": "error", "pos": {"line": 1, "column": 0}, "data": "unsolved goals"}], "env": 99}
    for turn in dialogue:
        if turn["says"] in command["cmd"] and turn.get("env", command.get("env")) == command.get("env"):
            answer = turn["answer"]
            break
    if answer == "hang":
        time.sleep(60)
    if answer == "end":
        sys.exit()
    sys.stdout.write(json.dumps(answer, indent=1, ensure_ascii=False) + "\n\n")
    sys.stdout.flush()
