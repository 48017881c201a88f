"""A process that answers satisfiability questions with z3 or cvc5; it runs as a script and imports nothing of ours.

A solver does not always heed its own time limit, so the client (`solver_process.py`) may kill this process at any time;
memory is limited for the process as a whole. One JSON object a line: ``{"scripts": [...], "milliseconds": 2000}`` is
answered by a list of ``{"status", "core", "model", "algebraic"}``, one for each script up to the first that is not
"unsat" if ``"stop"`` is set.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from fractions import Fraction
from typing import Any

Answer = dict[str, Any]


def with_z3(z3: Any, script: str, milliseconds: int, real: bool) -> Answer:
    """Return what z3 says of a script."""
    context = z3.Context()  # a new one each time: what was asked before must not change an answer
    facts = list(z3.parse_smt2_string(script, ctx=context))
    solver = z3.SolverFor("QF_NRA", ctx=context) if real else z3.Solver(ctx=context)
    solver.set("timeout", max(1, milliseconds))
    solver.set("random_seed", 0)
    for place, fact in enumerate(facts):
        solver.assert_and_track(fact, f"fact!{place}")
    status = solver.check()
    if status == z3.unsat:
        return {"status": "unsat", "core": sorted(int(str(name).partition("!")[2]) for name in solver.unsat_core())}
    if status != z3.sat:
        return {"status": "unknown", "reason": solver.reason_unknown()}
    model, values, algebraic = solver.model(), {}, False
    for declared in model.decls():
        name = declared.name()
        if declared.arity() or name.startswith("fact!"):
            continue
        value = model[declared]
        if z3.is_int_value(value) or z3.is_rational_value(value):
            fraction = value.as_fraction() if z3.is_rational_value(value) else Fraction(value.as_long())
            values[name] = [hex(fraction.numerator), hex(fraction.denominator)]
        else:
            algebraic = True
            values[name] = value.sexpr() if not z3.is_algebraic_value(value) else value.approx(20).as_decimal(20)
    agrees = all(z3.is_true(model.eval(fact, model_completion=True)) for fact in facts)
    return {"status": "sat", "model": values, "algebraic": algebraic, "agrees": agrees}


def with_cvc5(cvc5: Any, script: str, milliseconds: int, real: bool) -> Answer:
    """Return what cvc5 says of a script."""
    del real
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    for option in ("produce-models", "produce-unsat-cores"):
        solver.setOption(option, "true")
    solver.setOption("tlimit-per", str(max(1, milliseconds)))
    solver.setOption("seed", "0")
    solver.setLogic("ALL")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script, "claim")
    symbols = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        command.invoke(solver, symbols)
    found = solver.checkSat()
    facts = list(solver.getAssertions())
    if found.isUnsat():
        core = set(solver.getUnsatCore())
        return {"status": "unsat", "core": [place for place, fact in enumerate(facts) if fact in core]}
    if not found.isSat():
        return {"status": "unknown", "reason": str(found.getUnknownExplanation())}
    values, algebraic = {}, False
    for term in symbols.getDeclaredTerms():
        value = solver.getValue(term)
        if value.isIntegerValue():
            values[term.getSymbol()] = [hex(value.getIntegerValue()), "0x1"]
        elif value.isRealValue():
            fraction = Fraction(value.getRealValue())
            values[term.getSymbol()] = [hex(fraction.numerator), hex(fraction.denominator)]
        else:
            algebraic = True
            values[term.getSymbol()] = str(value)
    agrees = all(str(solver.getValue(fact)) == "true" for fact in facts)
    return {"status": "sat", "model": values, "algebraic": algebraic, "agrees": agrees}


def answers(solve: Any, library: Any, asked: dict[str, Any]) -> list[Answer]:
    """Return the answers to the scripts of one request."""
    found: list[Answer] = []
    for script in asked["scripts"]:
        try:
            found.append(solve(library, script, asked["milliseconds"], asked["real"]))
        except MemoryError:
            found.append({"status": "unknown", "reason": "memory"})
        except Exception as error:
            memory = "memory" in str(error).lower()
            found.append(
                {"status": "unknown" if memory else "error", "reason": f"{type(error).__name__}: {error}"[:500]}
            )
        if asked["stop"] and found[-1]["status"] != "unsat":
            break
    return found


def main() -> None:
    """Answer until the input ends."""
    solver, megabytes = sys.argv[1], int(sys.argv[2])
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    solve = {"z3": with_z3, "cvc5": with_cvc5}[solver]
    library = importlib.import_module(solver)
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answers(solve, library, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
