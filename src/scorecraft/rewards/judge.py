"""One small interface for every judge: a function from a prompt to a text, asked with retries and a budget.

A judge grades single answers or compares two; what it is asked is the caller's `prompts`, what its reply means is the
caller's `parse`. It may be an ordinary function or a coroutine. What goes wrong is counted under its own `Outcome`
and leaves no value.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome

REMOVED = "[removed]"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said; logprobs: log-probabilities (nats) of the verdicts it could have given, where it tells them.

    temperature: it was asked at.
    """

    text: str
    logprobs: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 0.0


Ask = Callable[[str, float], "str | Reply | Awaitable[str | Reply]"]
"""A judge: prompt and temperature in, reply out."""
Parse = Callable[[Reply], float | None]
"""What a reply means; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's last word on one prompt: NaN where ``outcome`` is not SCORED.

    attempts: calls it took. reason: what went wrong at the last of them.
    """

    value: float
    outcome: Outcome
    reply: Reply | None = None
    attempts: int = 0
    reason: str = ""


class Judge:
    """Asks a judge until its reply can be read.

    ask: the judge. retries: further calls where one fails; each is ``temperature_step`` hotter than the one before.
    budget: calls in all; after them every judgement is ABSTAINED. timeout: seconds a call may take. concurrency: calls
    at a time.

    ``calls`` and ``outcomes`` count what has been spent and what came of it.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        retries: int = 3,
        temperature: float = 0.0,
        temperature_step: float = 0.3,
        budget: int | None = None,
        timeout: float | None = None,
        concurrency: int = 1,
    ) -> None:
        for name, value, least in (("retries", retries, 0), ("concurrency", concurrency, 1), ("budget", budget, 0)):
            if value is not None and value < least:
                raise ScorecraftError(f"judge: {name} is {value}; expected at least {least}")
        if timeout is not None and not timeout > 0:
            raise ScorecraftError(f"judge: timeout is {timeout}; expected seconds above 0, or None")
        self.ask, self.retries, self.budget, self.timeout = ask, retries, budget, timeout
        self.temperature, self.temperature_step, self.concurrency = temperature, temperature_step, concurrency
        self.calls = 0
        self.outcomes: Counter[Outcome] = Counter()

    def judge(self, prompts: Sequence[str], parse: Parse) -> list[Judgement]:
        """Return the judgement on every prompt, in order; also where an event loop is running already.

        Args:
            prompts: what the judge is asked.
            parse: what a reply means, in the caller's units.

        Raises `ScorecraftError` where ``parse`` gives a number that is not finite, or the judge raises one.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.judge_async(prompts, parse))
        found: list[list[Judgement]] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                found.append(asyncio.run(self.judge_async(prompts, parse)))
            except BaseException as error:  # handed over to the thread that waits
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    async def judge_async(self, prompts: Sequence[str], parse: Parse) -> list[Judgement]:
        """Return the judgement on every prompt, in order; see `judge`."""
        places = asyncio.Semaphore(self.concurrency)

        async def one(prompt: str) -> Judgement:
            async with places:
                judgement = await self._attempts(prompt, parse)
            self.outcomes[judgement.outcome] += 1
            return judgement

        return list(await asyncio.gather(*map(one, prompts)))

    async def _attempts(self, prompt: str, parse: Parse) -> Judgement:
        outcome, reason, reply = Outcome.ERROR, "", None
        for attempt in range(self.retries + 1):
            if self.budget is not None and self.calls >= self.budget:
                return Judgement(math.nan, Outcome.ABSTAINED, reply, attempt, "the budget of calls is spent")
            self.calls += 1
            temperature = self.temperature + attempt * self.temperature_step
            try:
                reply = _as_reply(await asyncio.wait_for(self._call(prompt, temperature), self.timeout), temperature)
            except ScorecraftError:
                raise
            except TimeoutError:
                limit = "" if self.timeout is None else f" within {self.timeout:g} s"
                outcome, reason = Outcome.TIMEOUT, f"no reply{limit}"
                continue
            except Exception as error:
                outcome, reason = Outcome.ERROR, f"{type(error).__name__}: {error}"
                continue
            value = parse(reply)
            if value is None:
                outcome, reason = Outcome.UNPARSED, f"reply {reply.text[-80:]!r}"
                continue
            if not math.isfinite(value):
                raise ScorecraftError(f"judge: its reply was read as {value}; expected a finite number, or None")
            return Judgement(float(value), Outcome.SCORED, reply, attempt + 1)
        return Judgement(math.nan, outcome, reply, self.retries + 1, reason)

    async def _call(self, prompt: str, temperature: float) -> str | Reply:
        if inspect.iscoroutinefunction(self.ask) or (self.timeout is None and self.concurrency == 1):
            said = self.ask(prompt, temperature)
        else:
            said = await _in_thread(lambda: self.ask(prompt, temperature))
        return await said if inspect.isawaitable(said) else said


def _as_reply(said: Any, temperature: float) -> Reply:
    if isinstance(said, Reply):
        return said
    if not isinstance(said, str):
        raise TypeError(f"a judge must return a text or a Reply, got {type(said).__name__}")
    return Reply(said, temperature=temperature)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Await a function in a thread of its own, which cannot keep the program from ending if it never returns."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True).start()
    return await future


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a judge says of a pair: the probability that the first is better, NaN where ``outcome`` is not SCORED.

    consistent: whether both orders prefer the same one; None where only one order was asked, or an order failed.
    orders: the judgements, in the order asked.
    """

    preference: float
    outcome: Outcome
    consistent: bool | None
    orders: tuple[Judgement, ...]


def parse_preference(reply: Reply) -> float | None:
    """Return the probability that A is better: 1 for A, 0 for B, 0.5 for a tie, by the reply's last ``[[verdict]]``.

    A reply of the one word A, B, C or tie counts as well (C is a tie). Where the judge tells the log-probabilities of
    both "A" and "B", they decide: ``p(A) / (p(A) + p(B))``.
    """
    if "A" in reply.logprobs and "B" in reply.logprobs:
        gap = reply.logprobs["B"] - reply.logprobs["A"]
        return None if math.isnan(gap) else 1 / (1 + math.exp(min(gap, 700.0)))
    found = re.findall(r"\[\[(A|B|C|tie)\]\]", reply.text, re.IGNORECASE)
    word = found[-1] if found else reply.text.strip(" \n.*[]")
    return {"a": 1.0, "b": 0.0, "c": 0.5, "tie": 0.5}.get(word.lower())


def compare(
    judge: Judge,
    pairs: Sequence[tuple[str, str]],
    prompt: Callable[[int, str, str], str],
    *,
    parse: Parse = parse_preference,
    both_orders: bool = True,
    indifference: float = 0.0,
) -> list[Comparison]:
    """Return how each pair compares: the mean over both orders of the preference for its first member.

    A preference within ``indifference`` of 0.5 is a tie, 0.5. A failure in either order is one of the comparison.

    Args:
        judge: who is asked.
        pairs: two answers each.
        prompt: makes the judge's prompt from the pair's place, the answer shown as A, and the one shown as B.
        parse: the probability that A is better, from a reply.
        both_orders: whether each pair is asked a second time with its members exchanged, which takes the effect of
            the place out of the mean.
        indifference: in [0, 0.5).

    Raises `ScorecraftError` for an indifference outside its range, or a parsed preference outside [0, 1].
    """
    prompts = _pair_prompts(pairs, prompt, both_orders, indifference)
    return _comparisons(judge.judge(prompts, parse), len(pairs), indifference)


async def compare_async(
    judge: Judge,
    pairs: Sequence[tuple[str, str]],
    prompt: Callable[[int, str, str], str],
    *,
    parse: Parse = parse_preference,
    both_orders: bool = True,
    indifference: float = 0.0,
) -> list[Comparison]:
    """Return how each pair compares; see `compare`."""
    prompts = _pair_prompts(pairs, prompt, both_orders, indifference)
    return _comparisons(await judge.judge_async(prompts, parse), len(pairs), indifference)


def _pair_prompts(
    pairs: Sequence[tuple[str, str]],
    prompt: Callable[[int, str, str], str],
    both_orders: bool,
    indifference: float,
) -> list[str]:
    if not 0 <= indifference < 0.5:
        raise ScorecraftError(f"compare: indifference is {indifference}; expected a number from 0 to below 0.5")
    prompts = [prompt(place, first, second) for place, (first, second) in enumerate(pairs)]
    if both_orders:
        prompts += [prompt(place, second, first) for place, (first, second) in enumerate(pairs)]
    return prompts


def _comparisons(judgements: Sequence[Judgement], pairs: int, indifference: float) -> list[Comparison]:
    found = []
    for place in range(pairs):
        orders = tuple(judgements[place::pairs])
        failed = next((order for order in orders if order.outcome is not Outcome.SCORED), None)
        if failed is not None:
            found.append(Comparison(math.nan, failed.outcome, None, orders))
            continue
        if bad := [order.value for order in orders if not 0 <= order.value <= 1]:
            raise ScorecraftError(f"compare: pair {place} was judged {bad[0]}; expected a probability in [0, 1]")
        own = [order.value if index == 0 else 1 - order.value for index, order in enumerate(orders)]
        snapped = [0.5 if abs(value - 0.5) <= indifference else value for value in own]
        consistent = None if len(snapped) == 1 else _side(snapped[0]) == _side(snapped[1])
        mean = sum(own) / len(own)
        preference = 0.5 if abs(mean - 0.5) <= indifference else mean
        found.append(Comparison(preference, Outcome.SCORED, consistent, orders))
    return found


def _side(value: float) -> int:
    return (value > 0.5) - (value < 0.5)


def strip_phrases(text: str, phrases: Sequence[str], *, limit: int | None = None) -> str:
    """Return an answer as it may be shown to a judge: without phrases that would be read as the judge's own verdict.

    Every phrase becomes "[removed]", whatever its case, and whatever blanks, signs and invisible characters stand
    between its words. Beyond ``limit`` characters the middle is left out.

    Args:
        text: the answer that is judged.
        phrases: such as "total score".
        limit: the most characters that are kept, at least 2.
    """
    # Invisible format characters would hide a phrase from the search, not from a model.
    shown = "".join(character for character in text if character not in _INVISIBLE)
    for phrase in phrases:
        words = r"[\W_]*".join(map(re.escape, phrase.split()))
        shown = re.sub(words, REMOVED, shown, flags=re.IGNORECASE)
    if limit is not None and len(shown) > limit:
        shown = f"{shown[: (limit + 1) // 2]}\n[...]\n{shown[len(shown) - limit // 2 :]}"
    return shown


_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff")
