r"""Reads an expression in LaTeX or plain text, such as ``\frac{\sqrt{3}}{2}``, ``2x^2 - 1`` or ``sqrt(3)/2``.

What has more than one usual reading (``1/2x``, ``\sin 2x``, ``abcd``, ``1,5``) is `Undecided`, never guessed at.
Letters stand for variables, but for ``e``, ``i`` and ``pi``; two or three letters together are a product.
"""

from __future__ import annotations

import re
from fractions import Fraction

from scorecraft.rewards.verify.nodes import Call, Node, Number, Power, Product, Quotient, Sum, Symbol, negative
from scorecraft.rewards.verify.verification import TooLarge, Undecided, Unreadable

LONGEST_NUMBER = 400
DEEPEST = 40

_TOKEN = re.compile(
    r"(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<word>[A-Za-z]+)|(?P<sign>\*\*|[-+*/^_(){}\[\]|!,'])|(?P<space> +)"
)
_GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|(?:var)?epsilon|theta|lambda|mu|nu|rho|sigma|tau|(?:var)?phi|omega"
    r"|Delta|Omega|Phi|Gamma|Theta|Lambda|Sigma)"
)
FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp")
)
_PLAIN_CALLS = frozenset((*FUNCTIONS, "sqrt", "abs"))
_TIMES = frozenset(("*", r"\cdot", r"\times", r"\ast"))
_OVER = frozenset(("/", r"\div"))
_STARTS = frozenset(("number", "word", "command"))
_NO_ATOM = frozenset((*_TIMES, *_OVER, r"\le", r"\ge", r"\ne", r"\pm", r"\cup", r"\in", r"\rbrace"))

Token = tuple[str, str]
END: Token = ("end", "")


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises `Undecided` where the text has no reading here, or more than one; `Unreadable` for brackets that do not
    fit or are nested more than 40 deep; `TooLarge` for numbers of more than 400 digits.
    """
    parser = _Parser(tokens(text))
    tree = parser.sum()
    if parser.now != END:
        raise Undecided(f"'{parser.now[1]}' in '{text[:60]}'")
    return tree


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression, spaces left out."""
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Undecided(f"'{text[place]}' in '{text[:60]}'")
        place = match.end()
        kind = match.lastgroup or ""
        if kind != "space":
            found.append((kind, match[0]))
    found.append(END)
    return found


def number(text: str) -> Number:
    """Return a decimal number, thousands grouped by commas or not; `TooLarge` beyond 400 digits."""
    digits = text.replace(",", "")
    if len(digits) > LONGEST_NUMBER:
        raise TooLarge(f"a number of {len(digits)} digits")
    whole, point, rest = digits.partition(".")
    if not rest:
        return Number(int(whole or "0"), bool(point))
    return Number(Fraction(int(whole + rest), 10 ** len(rest)), True)


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.place, self.depth = found, 0, 0
        self.now = found[0]

    def next(self) -> Token:
        """Step over the present token and return it."""
        token = self.now
        self.place += 1
        self.now = self.tokens[min(self.place, len(self.tokens) - 1)]
        return token

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"brackets nested more than {DEEPEST} deep")
        terms: list[Node] = [self.product()]
        while self.now[1] in ("+", "-"):
            minus = self.next()[1] == "-"
            term = self.product()
            terms.append(negative(term) if minus else term)
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def product(self) -> Node:
        factors: list[Node] = [self.signed()]
        divided = 0
        while True:
            sign = self.now[1]
            if self.now[0] in ("sign", "command") and sign in _TIMES:
                self.next()
                factors.append(self.signed())
            elif self.now[0] in ("sign", "command") and sign in _OVER:
                self.next()
                upper = factors[0] if len(factors) == 1 else Product(tuple(factors))
                factors[:] = [Quotient(upper, self.signed())]
                divided += 1
                if divided > DEEPEST:
                    raise Unreadable(f"more than {DEEPEST} divisions in a row")
            elif self.starts_an_atom():
                if divided:
                    raise Undecided("a quotient followed by a factor, such as 1/2x")
                factors.append(self.implicit(factors[-1]))
            else:
                return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def starts_an_atom(self) -> bool:
        kind, text = self.now
        return (kind in _STARTS and text not in _NO_ATOM) or text in ("(", "{")

    def implicit(self, before: Node) -> Node:
        """Return a factor that follows another without a sign; two numbers in a row have no usual reading."""
        if self.now[0] == "number":
            raise Undecided("a number after a factor")
        mixed = isinstance(before, Number) and self.now[1] == r"\frac"
        factor = self.power()
        if mixed:  # three and a half, not three times a half; the caller multiplies
            return self.mixed(before, factor)
        return factor

    def mixed(self, whole: Node, part: Node) -> Node:
        """Return the factor that makes a whole number the mixed number it is written as, such as 3 1/2."""
        numbers = isinstance(part, Quotient) and isinstance(part.upper, Number) and isinstance(part.lower, Number)
        if not (numbers and isinstance(whole, Number) and not whole.decimal and whole.value):
            return part
        return Quotient(Sum((Number(abs(whole.value)), part)), Number(abs(whole.value)))

    def signed(self) -> Node:
        minus = False
        while self.now[1] in ("-", "+"):
            minus ^= self.next()[1] == "-"
        factor = self.power()
        if not minus:
            return factor
        return negative(factor)

    def power(self) -> Node:
        base = self.postfix()
        return self.raised(base) if self.now[1] in ("^", "**") else base

    def exponent(self) -> Node:
        """Return what follows a power sign; powers of powers are taken from the right."""
        minus = self.now[1] == "-"
        if minus:
            self.next()
        if self.now[1] == r"\circ":
            raise Undecided("a degree sign")
        inner = self.braces() if self.now[1] == "{" else self.postfix()
        if self.now[1] in ("^", "**"):
            inner = self.raised(inner)
        return negative(inner) if minus else inner

    def raised(self, base: Node) -> Node:
        self.next()
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"powers nested more than {DEEPEST} deep")
        exponent = self.exponent()
        self.depth -= 1
        return Power(base, exponent)

    def postfix(self) -> Node:
        atom = self.atom()
        if self.now[1] == "!":
            self.next()
            atom = Call("factorial", (atom,))
            if self.now[1] == "!":
                raise Unreadable("a factorial of a factorial, or a double one")
        return atom

    def atom(self) -> Node:
        kind, text = self.now
        if kind == "number":
            self.next()
            return number(text)
        if text == "(":
            return self.group("(", ")")
        if text == "{":
            return self.braces()
        if text == "|":
            self.next()
            inner = self.sum()
            self.expect("|")
            return Call("abs", (inner,))
        if kind == "word":
            return self.word()
        if kind == "command":
            return self.command()
        raise Undecided(f"'{text}'" if text else "the expression ends too early")

    def group(self, opening: str, closing: str) -> Node:
        self.expect(opening)
        inner = self.sum()
        self.expect(closing)
        return inner

    def braces(self) -> Node:
        return self.group("{", "}")

    def expect(self, sign: str) -> None:
        if self.now[1] != sign:
            raise Undecided(f"expected '{sign}', found '{self.now[1]}'")
        self.next()

    def word(self) -> Node:
        text = self.next()[1]
        if text in _PLAIN_CALLS:
            return self.call(text)
        if text in ("pi", "e", "i"):
            return Symbol(text)
        if text in ("oo", "inf", "infinity"):
            return Symbol("oo")
        if len(text) == 1:
            return self.subscripted(text)
        if len(text) > 3:
            raise Undecided(f"the word '{text}'")
        return Product(tuple(Symbol(letter) for letter in text))

    def subscripted(self, name: str) -> Node:
        if self.now[1] == "_":
            self.next()
            if self.now[1] == "{":
                self.next()
                name = f"{name}_{self.next()[1]}"
                self.expect("}")
            else:
                name = f"{name}_{self.next()[1]}"
        if self.now[1] == "'":
            raise Undecided("a prime")
        return Symbol(name)

    def command(self) -> Node:
        text = self.next()[1]
        name = text[1:]
        if name in ("pi", "infty"):
            return Symbol("pi" if name == "pi" else "oo")
        if _GREEK.fullmatch(text):
            return self.subscripted(text)
        if name == "frac":
            return Quotient(self.argument(), self.argument())
        if name in ("binom", "dbinom", "tbinom"):
            return Call("binomial", (self.argument(), self.argument()))
        if name == "sqrt":
            return self.root()
        if name in FUNCTIONS:
            return self.call(name)
        raise Undecided(f"the command '{text}'")

    def argument(self) -> Node:
        r"""Return an argument of ``\frac`` and the like: braces, or one digit or letter."""
        if self.now[1] == "{":
            return self.braces()
        kind, text = self.now
        if kind == "number" and text.isdigit():
            # TeX takes one digit: \frac12 is a half.
            self.next()
            if len(text) > 1:
                self.place -= 1
                self.tokens[self.place] = self.now = ("number", text[1:])
            return Number(int(text[0]))
        if kind == "word" and len(text) == 1:
            return Symbol(self.next()[1])
        raise Undecided(f"an argument '{text}' without braces")

    def root(self) -> Node:
        degree: Node = Number(2)
        if self.now[1] == "[":
            degree = self.group("[", "]")
        inner = self.group("(", ")") if self.now[1] == "(" else self.argument()
        return Call("sqrt", (inner,)) if degree == Number(2) else Call("root", (inner, degree))

    def call(self, name: str) -> Node:
        base: Node | None = None
        power: Node | None = None
        if self.now[1] == "_" and name == "log":
            self.next()
            base = self.argument()
        if self.now[1] == "^" and name in FUNCTIONS:
            self.next()
            power = self.argument()
            if not isinstance(power, Number) or power.value < 0:
                raise Undecided("an inverse function or an odd power of one")
        inner = self.call_argument()
        if base is not None:
            result: Node = Quotient(Call("ln", (inner,)), Call("ln", (base,)))
        else:
            result = Power(Symbol("e"), inner) if name == "exp" else Call(name, (inner,))
        return result if power is None else Power(result, power)

    def call_argument(self) -> Node:
        if self.now[1] == "(":
            return self.group("(", ")")
        if self.now[1] == "{":
            return self.braces()
        inner = self.postfix()
        if self.starts_an_atom() or self.now[1] in ("^", "**"):
            raise Undecided("a function of more than one factor without brackets")
        return inner
