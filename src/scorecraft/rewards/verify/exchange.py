"""Lets two processes use each other's values, of which the one need not trust the other.

Numbers, texts and containers go over by value; functions, classes and other objects by reference, as a `Remote`
that passes on what is done to it. Containers that were arguments get their new contents when the call returns. Messages
are JSON, a line each: a request has an operation, the object it is done to and its arguments; a reply has a value,
or what was raised. Whoever waits for a reply answers requests meanwhile, so that functions can be passed as arguments.
It is read by `program_runner.py`, which runs as a script, so it imports nothing of this package.

The ``strict`` side believes the other one's values and nothing else. An object is compared with a plain value as the
number, text or container that it is a kind of, and one that is none is equal to none, whatever its ``__eq__`` says;
plain values on the other side of ``-``, ``/`` or ``<`` are not shown to it. Of its own objects only those can be used
that it has passed on, through `permitted`.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import functools
import importlib
import json
import operator
import os
import sys
import threading
import types
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

_EXACT = 2**53
_LISTS: dict[type, str] = {list: "list", set: "set", collections.deque: "deque"}
_MAPPINGS: dict[type, str] = {dict: "dict", collections.OrderedDict: "OrderedDict", collections.Counter: "Counter"}
_FIXED: dict[type, str] = {tuple: "tuple", frozenset: "frozenset"}
_TEXTS: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    int: ("int", hex, lambda text: int(text, 16)),
    complex: ("complex", str, complex),
    bytes: ("bytes", bytes.hex, bytes.fromhex),
    Fraction: ("Fraction", str, Fraction),
    Decimal: ("Decimal", str, Decimal),
    datetime.date: ("date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.datetime: ("datetime", datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.time: ("time", datetime.time.isoformat, datetime.time.fromisoformat),
}
_NAMED = {name: kind for table in (_LISTS, _MAPPINGS, _FIXED) for kind, name in table.items()}
_READ = {name: read for name, _, read in _TEXTS.values()}
_BASES: tuple[Any, ...] = (bool, int, float, complex, str, bytes, tuple, frozenset, list, set, dict, collections.deque)
_EVALUATING = frozenset(
    ("eval", "exec", "compile", "open", "input", "breakpoint", "getattr", "setattr", "delattr", "globals", "locals",
     "vars", "memoryview", "super", "__import__", "__build_class__", "exit", "quit", "help")
)  # fmt: skip
_LIBRARIES = frozenset((*sys.stdlib_module_names, "numpy"))

_COMPARED = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_ARITHMETIC = ("__add__", "__sub__", "__mul__", "__matmul__", "__truediv__", "__floordiv__", "__mod__", "__pow__",
               "__and__", "__or__", "__xor__", "__lshift__", "__rshift__")  # fmt: skip
_ITEMS = ("__getitem__", "__setitem__", "__delitem__", "__contains__")
_ALONE = ("__neg__", "__pos__", "__abs__", "__invert__")
# Operations that may see a plain value, which cannot be the answer that is asked for.
_SHOWN = frozenset(("__add__", "__radd__", "__mul__", "__rmul__", "__matmul__", "__rmatmul__"))


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)
    return lambda one, other: function(other, one)


def plain(value: Any) -> tuple[Any, ...]:
    """Return the plain value that an object is a kind of, in a tuple; an empty tuple where it is none."""
    return next(((base(value),) for base in _BASES if isinstance(value, base)), ())


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, *args, **kwargs: function(*args, **kwargs),
    "get": getattr, "set": setattr, "delete": delattr, "iter": iter, "next": next, "len": len, "bool": bool,
    "str": str, "repr": repr, "hash": hash, "instance": lambda kind, value: isinstance(value, kind),
    **{name: getattr(operator, name) for name in (*_COMPARED, *_ARITHMETIC, *_ITEMS, *_ALONE)},
    **{f"__r{name[2:]}": _reflected(name) for name in _ARITHMETIC},
    "plain": plain,
}  # fmt: skip


class EndedError(RuntimeError):
    """The other process has ended."""


def permitted(operation: str, target: Any, args: tuple[Any, ...]) -> bool:
    """Return whether the other process may do this to an object of the tests: no way leads to what is around it."""
    if operation in ("get", "set"):
        return type(target).__module__ == "__main__" and not str(args[0]).startswith("_")
    if operation == "call":
        own = isinstance(target, type) and target.__module__ == "__main__"
        kinds = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)
        return own or isinstance(target, kinds) or type(target).__module__ == "__main__"
    return operation not in ("delete", "instance") and not isinstance(target, types.ModuleType)


class Remote:
    """An object of the other process."""

    __slots__ = ("_remote_handle", "_remote_peer")

    def __init__(self, peer: Peer, handle: int) -> None:
        object.__setattr__(self, "_remote_peer", peer)
        object.__setattr__(self, "_remote_handle", handle)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._remote_peer.ask("call", self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._remote_peer.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote_peer.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._remote_peer.ask("delete", self, name)

    def __iter__(self) -> Any:
        return self._remote_peer.ask("iter", self)

    def __next__(self) -> Any:
        return self._remote_peer.ask("next", self)

    def __len__(self) -> int:
        return self._remote_peer.ask("len", self)

    def __bool__(self) -> bool:
        return self._remote_peer.ask("bool", self) is True

    def __str__(self) -> str:
        return self._remote_peer.ask("str", self)

    def __repr__(self) -> str:
        return self._remote_peer.ask("repr", self)

    def __hash__(self) -> int:
        own = self._remote_peer.plain(self)
        return hash(own[0]) if own else self._remote_peer.ask("hash", self)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and self._remote_peer.ask("instance", self, value) is True

    def __enter__(self) -> Any:
        return self._remote_peer.ask("get", self, "__enter__")()

    def __exit__(self, *_: object) -> Any:
        return self._remote_peer.ask("get", self, "__exit__")(None, None, None)

    def __float__(self) -> float:
        return float(self._remote_peer.number(self))

    def __int__(self) -> int:
        return int(self._remote_peer.number(self))

    def __index__(self) -> int:
        return operator.index(self._remote_peer.number(self))

    def __round__(self, *digits: int) -> Any:
        return round(self._remote_peer.number(self), *digits)


def _passed_on(name: str) -> Callable[..., Any]:
    return lambda self, *args: self._remote_peer.ask(name, self, *args)


def _weighed(name: str) -> Callable[..., Any]:
    return lambda self, other: self._remote_peer.binary(name, self, other)


for _name in (*_ITEMS, *_ALONE):
    setattr(Remote, _name, _passed_on(_name))
for _name in (*_COMPARED, *_ARITHMETIC, *(f"__r{name[2:]}" for name in _ARITHMETIC)):
    setattr(Remote, _name, _weighed(_name))


class Peer:
    """This process's side of the exchange.

    operations: more operations than those on objects, by name; they get no object. strict: see the module.
    """

    def __init__(self, reading: int, writing: int, *, strict: bool = False) -> None:
        self._reading, self._writing = os.fdopen(reading, "rb"), writing
        self._lock = threading.RLock()
        self._exported: dict[int, Any] = {}
        self._handles: dict[int, int] = {}
        self._errors: dict[int, type[Exception]] = {}
        self.strict = strict
        self.operations: dict[str, Callable[..., Any]] = {}

    def ask(self, operation: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what came of an operation in the other process; raises what it raised, and `EndedError`."""
        book = _Book()
        request = {
            "do": operation,
            "on": None if target is None else self._pack(target, book),
            "args": [self._pack(value, book) for value in args],
            "kwargs": {name: self._pack(value, book) for name, value in kwargs.items()},
        }
        with self._lock:
            self._send(request)
            while "do" in (reply := self._receive()):
                self._answer(reply)
        return self._outcome(reply, book)

    def serve(self) -> None:
        """Answer requests until the other process ends."""
        while True:
            try:
                request = self._receive()
            except EndedError:
                return
            self._answer(request)

    def plain(self, remote: Any) -> tuple[Any, ...]:
        """Return `plain` of an object of the other process, of which only values count."""
        found = self.ask("plain", remote)
        return found if type(found) is tuple and not any(isinstance(value, Remote) for value in found) else ()

    def number(self, remote: Any) -> Any:
        """Return the number that an object of the other process is a kind of."""
        own = self.plain(remote)
        if not own:
            raise TypeError("an object of the program is no number")
        return own[0]

    def binary(self, name: str, remote: Any, other: Any) -> Any:
        """Return what an operator gives for an object of the other process and something else."""
        if not self.strict or isinstance(other, Remote):
            return self.ask(name, remote, other)
        own = self.plain(remote)
        if own:
            return _OPERATIONS[name](own[0], other)
        if name in _SHOWN:
            return self.ask(name, remote, other)
        if name in ("__eq__", "__ne__"):
            return name == "__ne__"
        return NotImplemented

    def _send(self, message: dict[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except OSError as error:
            raise EndedError("the program ended before its tests did") from error

    def _receive(self) -> dict[str, Any]:
        line = self._reading.readline()
        if not line.endswith(b"\n"):
            raise EndedError("the program ended before its tests did")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise EndedError("the program sent no message")
        return message

    def _answer(self, request: dict[str, Any]) -> None:
        book = _Book()
        try:
            value = self._done(request, book)
            arguments = len(book.values)
            reply = {"value": self._pack(value, book)}
        except BaseException as error:  # whatever the program does, the other process is told
            arguments = len(book.values)
            reply = self._packed_error(error, book)
        reply["state"] = [self._contents(value, book) for value in book.values[:arguments]]
        self._send(reply)

    def _done(self, request: dict[str, Any], book: _Book) -> Any:
        operation = request["do"]
        if self.strict and _body(request["on"])[0] != "yours":
            raise TypeError("not for the program")
        target = None if request["on"] is None else self._unpack(request["on"], book)
        args = tuple(self._unpack(value, book) for value in request["args"])
        kwargs = {name: self._unpack(value, book) for name, value in request["kwargs"].items()}
        if operation in self.operations:
            return self.operations[operation](*args)
        if self.strict and not permitted(operation, target, args):
            raise TypeError("not for the program")
        return _OPERATIONS[operation](target, *args, **kwargs)

    def _outcome(self, reply: dict[str, Any], book: _Book) -> Any:
        mutable = book.values[:]
        value = self._unpack(reply["value"], book) if "value" in reply else None
        error = self._unpacked_error(reply, book) if "raised" in reply else None
        fresh = [self._unpacked_contents(_body(packed)[1], type(old), book)
                 for old, packed in zip(mutable, reply["state"], strict=True)]  # fmt: skip
        for old, new in zip(mutable, fresh, strict=True):
            old.clear()
            old.update(new) if hasattr(old, "update") else old.extend(new)
        if error is not None:
            raise error
        return value

    def _pack(self, value: Any, book: _Book) -> Any:  # noqa: PLR0911 - one for each kind of value
        kind = type(value)
        if value is None or kind in (bool, float, str) or (kind is int and -_EXACT < value < _EXACT):
            return value
        if kind in _LISTS or kind in _MAPPINGS:
            place = book.place(value)
            return {"again": place} if place is not None else self._contents(value, book.with_value(value))
        if kind in _FIXED:
            return {_FIXED[kind]: [self._pack(item, book) for item in value]}
        if kind in _TEXTS:
            return {_TEXTS[kind][0]: _TEXTS[kind][1](value)}
        if kind is Remote:
            return {"yours": value._remote_handle}
        if kind is types.ModuleType:
            return {"module": value.__name__}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if kind.__module__ == "numpy":
            return self._packed_array(value, book)
        return self._packed_object(value)

    def _packed_array(self, value: Any, book: _Book) -> Any:
        if not (hasattr(value, "tolist") and value.dtype.kind in "biufcUS"):
            return self._packed_object(value)
        if not value.shape:
            return self._pack(value.item(), book)
        return {"array": [value.dtype.str, list(value.shape), value.tobytes().hex()]}

    def _packed_object(self, value: Any) -> Any:
        name = getattr(value, "__name__", None)
        if isinstance(name, str) and value is getattr(builtins, name, None):
            if name in _EVALUATING:
                raise TypeError(f"'{name}' cannot be passed on")
            return {"builtin": name}
        if isinstance(value, type) and issubclass(value, BaseException):
            for handle, mirrored in self._errors.items():
                if mirrored is value:
                    return {"yours": handle}
            bases = [self._packed_object(base) for base in value.__bases__ if issubclass(base, BaseException)]
            return {"error": [self._handle(value), value.__name__, bases]}
        return {"mine": self._handle(value)}

    def _handle(self, value: Any) -> int:
        handle = self._handles.setdefault(id(value), len(self._handles))
        self._exported[handle] = value
        return handle

    def _contents(self, value: Any, book: _Book) -> Any:
        kind = type(value)
        if kind in _MAPPINGS:
            return {_MAPPINGS[kind]: [[self._pack(key, book), self._pack(item, book)] for key, item in value.items()]}
        return {_LISTS[kind]: [self._pack(item, book) for item in list(value)]}

    def _packed_error(self, error: BaseException, book: _Book) -> dict[str, Any]:
        try:
            args = [self._pack(value, book) for value in error.args]
        except (TypeError, ValueError, RecursionError):
            args = []
        return {"raised": self._packed_object(type(error)), "args": args}

    def _unpacked_error(self, reply: dict[str, Any], book: _Book) -> Exception:
        kind = self._unpack(reply["raised"], book)
        args = [self._unpack(value, book) for value in reply["args"]]
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            name = getattr(kind, "__name__", "an exit")
            return RuntimeError(f"{name}: {', '.join(str(value) for value in args)}")
        for known in kind.__mro__:
            try:
                return known(*args)
            except TypeError:  # it takes other arguments
                continue
        return RuntimeError(kind.__name__)

    def _unpack(self, packed: Any, book: _Book) -> Any:
        if not isinstance(packed, dict | list):
            return packed
        tag, body = _body(packed)
        if tag == "again":
            return book.values[body]
        if tag in _READ:
            return _READ[tag](body)
        if tag in ("tuple", "frozenset"):
            return _NAMED[tag](self._unpack(item, book) for item in body)
        if tag in _NAMED:
            made = _NAMED[tag]()
            book.with_value(made)
            new = self._unpacked_contents(body, type(made), book)
            made.update(new) if hasattr(made, "update") else made.extend(new)
            return made
        return self._unpacked_object(tag, body, book)

    def _unpacked_contents(self, body: Any, kind: type, book: _Book) -> Any:
        if kind in _MAPPINGS:
            return {self._unpack(key, book): self._unpack(item, book) for key, item in body}
        return [self._unpack(item, book) for item in body]

    def _unpacked_object(self, tag: str, body: Any, book: _Book) -> Any:  # noqa: PLR0911 - one for each kind
        if tag == "mine":
            return Remote(self, body)
        if tag == "yours":
            return self._exported[body]
        if tag == "range":
            return range(*body)
        if tag == "builtin" and body not in _EVALUATING and not body.startswith("_"):
            return getattr(builtins, body)
        if tag == "module" and body.partition(".")[0] in _LIBRARIES:
            return importlib.import_module(body)
        if tag == "array":
            return _array(body)
        if tag == "error":
            return self._mirrored(body, book)
        raise ValueError(f"a value that cannot be passed on ({str(tag)[:20]})")

    def _mirrored(self, body: Any, book: _Book) -> type[Exception]:
        """Return the class here that stands for an exception class of the other process."""
        handle, name, bases = body
        if handle not in self._errors:
            found = [self._unpack(base, book) for base in bases]
            usable = [base for base in found if isinstance(base, type) and issubclass(base, Exception)]
            made = type(str(name), tuple(usable) or (RuntimeError,), {"__module__": "program"})
            self._errors[handle] = made
        return self._errors[handle]


def _array(body: Any) -> Any:
    import numpy as np

    kind, shape, data = body
    if np.dtype(kind).kind not in "biufcUS":
        raise ValueError("an array of objects")
    return np.frombuffer(bytes.fromhex(data), kind).reshape(shape).copy()


def _body(packed: Any) -> tuple[str, Any]:
    if not isinstance(packed, dict) or len(packed) != 1:
        raise ValueError("no packed value")
    return next(iter(packed.items()))


class _Book:
    """The containers of one exchange, numbered in the order in which both sides meet them."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[int, int] = {}

    def place(self, value: Any) -> int | None:
        """Return the number of a container; None where it has none yet."""
        return self._places.get(id(value))

    def with_value(self, value: Any) -> _Book:
        """Number a container and return the book."""
        self._places[id(value)] = len(self.values)
        self.values.append(value)
        return self
