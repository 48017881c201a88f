"""The sampling part whose tool calls are answered by Python functions of the user's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.generate import Forced, React, SamplingSettings
from scorecraft.lm.policy import Policy
from scorecraft.parts import register
from scorecraft.problem import Problem
from scorecraft.sampling.sampling import Sampling
from scorecraft.sampling.tool_worker import ToolWorker, shared_worker
from scorecraft.sampling.toolbox import (
    CALL_END,
    CALL_START,
    LEAST_CHARACTERS,
    Malformed,
    ToolBox,
    can_escape,
    check_marker,
    read_call,
)


@register("sampling", "function-tools")
class FunctionTools(Sampling):
    """Tool calls are answered in place by functions of a Python file; what they return is masked out.

    ```yaml
    sampling:
      function-tools:
        path: tools.py
        functions: [search, add]
        system: |
          You may call these tools:
          {tools}
          A call is <tool_call>{"name": "...", "arguments": {...}}</tool_call>.
        max_calls: 4
        seconds: 2
        max_new_tokens: 512
    ```

    A call is a JSON object between ``call_start`` and ``call_end``. Its answer stands between ``result_start`` and
    ``result_end``, and counts towards ``max_new_tokens``. A call that cannot be read, asks for an unknown tool, gives
    arguments that violate the schema, raises, or exceeds ``seconds`` or ``memory_mb`` is answered with an error
    message, and the policy goes on. The call after ``max_calls`` ends the rollout. Markers and special tokens inside an
    answer are escaped. Each rollout's note ``tool_calls`` lists its calls: name, arguments, outcome, result.

    path: of the file, relative to the working directory. functions: their names in it. schemas: JSON schemas of
    arguments by function; otherwise the type hints of its signature give them. system: ``{tools}`` in it stands for the
    tools, a JSON object a line. max_result: characters of an answer. A function should give equal calls equal answers;
    otherwise a run cannot be repeated.
    """

    path: str = Field(min_length=1)
    functions: tuple[str, ...] = Field(min_length=1)
    schemas: dict[str, dict[str, Any]] = Field(default_factory=dict)
    call_start: str = CALL_START
    call_end: str = CALL_END
    result_start: str = "\n<tool_response>\n"
    result_end: str = "\n</tool_response>\n"
    max_calls: int = Field(8, ge=1)
    seconds: float = Field(5.0, gt=0, allow_inf_nan=False)
    memory_mb: int = Field(1024, ge=64)
    max_result: int = Field(1000, ge=LEAST_CHARACTERS)

    @model_validator(mode="after")
    def _markers_can_be_told_apart(self) -> FunctionTools:
        if not self.call_start.strip() or not self.call_end.strip():
            raise ValueError("call_start and call_end must hold more than white space")
        if self.call_start in self.call_end or self.call_end in self.call_start:
            raise ValueError("call_start and call_end must not contain each other: give two different markers")
        if not self.result_start + self.result_end:
            raise ValueError("give result_start or result_end: without either an empty result would end the rollout")
        try:
            for marker in (self.call_start, self.call_end, self.result_start, self.result_end):
                check_marker(marker)
        except ScorecraftError as error:
            raise ValueError(str(error)) from error
        unknown = sorted(set(self.schemas) - set(self.functions))
        if unknown:
            raise ValueError(f"schemas holds '{unknown[0]}', which is not among functions")
        return self

    def worker(self) -> ToolWorker:
        """Return the worker that runs the functions, shared with every part of the same options."""
        return shared_worker(self.path, self.functions, self.schemas, seconds=self.seconds, memory_mb=self.memory_mb)

    def settings(self, context: Context) -> SamplingSettings:
        """Return the settings with the end of a call as stop string."""
        del context
        return SamplingSettings(self.max_new_tokens, self.temperature, self.top_k, self.top_p, (self.call_end,))

    def prompts(self, policy: Policy, problems: Sequence[Problem]) -> list[list[int]]:
        """Return the tokens of each problem's prompt, with the tools where ``system`` asks for them."""
        system = self.system
        if system is not None and "{tools}" in system:
            tools = (json.dumps(tool.as_function(), ensure_ascii=False) for tool in self.worker().tools.values())
            system = system.replace("{tools}", "\n".join(tools))
        return [policy.encode_prompt(problem.prompt, system=system, chat=self.chat) for problem in problems]

    def react(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> React:
        """Answer a finished call, up to ``max_calls`` of them; an end token ends the rollout.

        Raises `ScorecraftError` where the policy's tokenizer cannot write a call, or the file or a function is missing.
        """
        del context
        box = self._toolbox(policy)
        # Where what the policy wrote since the last answer begins.
        own = [0] * len(problems)

        def answer(row: int, tokens: list[int], turn: int) -> Forced | None:
            del turn
            if tokens[-1] in policy.eos_ids:
                return None
            calls = notes[row].setdefault("tool_calls", [])
            if len(calls) >= self.max_calls:
                return None
            done = box.call(policy.decode(tokens[own[row] :]))
            calls.append({"name": done.name, "arguments": done.arguments, "outcome": done.outcome, "result": done.text})
            forced = policy.encode(self.result_start + done.text + self.result_end)
            own[row] = len(tokens) + len(forced)
            return Forced(forced)

        return answer

    def _toolbox(self, policy: Policy) -> ToolBox:
        example = json.dumps({"name": self.functions[0], "arguments": {"a": [1]}})
        written = policy.decode(policy.encode(self.call_start + example + self.call_end))
        if isinstance(read_call(written, self.call_start, self.call_end), Malformed):
            raise ScorecraftError(
                f"sampling 'function-tools': the tokenizer of policy '{policy.name}' turns a call into "
                f"{written!r:.120}; choose a call_start and a call_end that it writes as plain text, not special tokens"
            )
        worker = self.worker()
        added = policy.tokenizer.added_tokens_decoder.values()
        special = tuple(token.content for token in added if token.special and can_escape(token.content))
        return ToolBox(
            worker.tools,
            worker.run,
            self.call_start,
            self.call_end,
            (self.result_start, self.result_end, *special),
            self.max_result,
        )
