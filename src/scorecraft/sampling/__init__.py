"""How completions are drawn: one turn, two turns, with tools, with forced prefixes."""
