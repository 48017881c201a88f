"""The part with real small policies: what they write is set by the random numbers that they are given."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.logprobs import token_logprobs
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.parts import find
from scorecraft.problem import Problem
from scorecraft.recipes.recipe import Recipe
from scorecraft.sampling.function_tools import FunctionTools
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

TASK = ChainArithmetic()
TOOLS = str(Path(__file__).with_name("tool_file.py"))
NAMES = ("add", "echo", "fail", "process", "hang", "hungry")
PROMPT = "12+7=?\n"
PROBLEM = Problem(PROMPT, "19", metadata={"operands": [[12], [7]], "operators": "+"})
OPTIONS = {"path": TOOLS, "functions": NAMES, "group_size": 1, "seconds": 60.0, "memory_mb": 512, "chat": "never"}


def byte_tokenizer():
    """One token a byte, and the end of a text."""
    vocabulary = {token: place for place, token in enumerate(["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<end>", clean_up_tokenization_spaces=False
    )


@pytest.fixture(scope="module", params=["llama-characters", "gpt2-bytes"])
def policy(request):
    if request.param == "llama-characters":
        return Policy(tunnel_model(2, 32, 2), tunnel_tokenizer(), request.param)
    torch.manual_seed(0)
    config = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=512, vocab_size=257, eos_token_id=0, bos_token_id=0)
    return Policy(GPT2LMHeadModel(config).eval(), byte_tokenizer(), request.param)


@dataclasses.dataclass(frozen=True)
class Scripted(Context):
    """A context whose random numbers make a policy write given texts."""

    table: torch.Tensor = dataclasses.field(default_factory=lambda: torch.zeros(0))

    def uniforms(self, rows, *shape):
        assert self.table.shape == (rows, *shape)
        return self.table


def logprobs_of(policy, tokens):
    """Return the log-probabilities of all next tokens after the prompt, by the model itself in one pass."""
    prompt = policy.encode_prompt(PROMPT, chat="never")
    with torch.no_grad():
        logits = policy.model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    return logits.double().log_softmax(1)


def scripted(policy, scripts, width, rest=0.37):
    """Return uniforms in the middle of what draws the tokens of each script: forced texts are part of it."""
    table = torch.full((len(scripts), width), rest, dtype=torch.float64)
    for row, script in enumerate(scripts):
        tokens = policy.encode(script)
        assert len(tokens) <= width
        probabilities = logprobs_of(policy, tokens).exp()
        own = torch.tensor(tokens)[:, None]
        upper = probabilities.cumsum(1).gather(1, own)[:, 0]
        table[row, : len(tokens)] = upper - probabilities.gather(1, own)[:, 0] / 2
    return Scripted(TASK, torch.Generator(), table=table)


def call(name, **arguments):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def answer(text):
    return f"\n<tool_response>\n{text}\n</tool_response>\n"


def sample(policy, scripts, width=300, **options):
    part = FunctionTools(**{**OPTIONS, "max_new_tokens": width, **options})
    problems = [PROBLEM] * len(scripts)
    return part(policy, problems, scripted(policy, scripts, width))


def test_results_are_forced_in_and_masked_out(policy):
    pieces = ["I add. ", call("add", a=2, b=3), answer("5"), "So ", call("add", a=5), answer("15"), "it is 15."]
    rollouts = sample(policy, ["".join(pieces)])
    text = rollouts.texts[0]
    assert text.startswith("".join(pieces))
    place = 0
    for piece in pieces:
        end = place + len(piece)
        assert bool(rollouts.mask[0, place:end].all()) != (piece in (answer("5"), answer("15")))
        assert bool(rollouts.mask[0, place:end].any()) != (piece in (answer("5"), answer("15")))
        assert bool(rollouts.logprobs[0, place:end].eq(0).all()) == (piece in (answer("5"), answer("15")))
        place = end
    assert rollouts.mask[0, place : int(rollouts.lengths[0])].all()
    assert rollouts.turns[0, : int(rollouts.lengths[0])].eq(0).all()
    assert rollouts.notes[0]["tool_calls"] == [
        {"name": "add", "arguments": {"a": 2, "b": 3}, "outcome": "ok", "result": "5"},
        {"name": "add", "arguments": {"a": 5}, "outcome": "ok", "result": "15"},
    ]


def test_what_follows_a_result_has_the_probability_that_training_recomputes(policy):
    scripts = [
        "I add. " + call("add", a=2, b=3) + answer("5") + "So it is 5.",
        call("add", a=1, b=1) + answer("2") + call("add", a=2) + answer("12") + "12",
        "no tool",
    ]
    rollouts = sample(policy, scripts)
    again, entropies = token_logprobs(policy, rollouts)
    assert torch.allclose(rollouts.logprobs, again, atol=2e-5)
    assert torch.allclose(rollouts.entropies, entropies, atol=2e-4)
    # And by the model itself, in one pass over prompt and completion.
    for row, script in enumerate(scripts):
        tokens = rollouts.tokens[row, : int(rollouts.lengths[row])]
        own = logprobs_of(policy, tokens.tolist()).gather(1, tokens[:, None])[:, 0].float()
        mask = rollouts.mask[row, : len(tokens)]
        assert mask[len(script) - 2 : len(script)].all()
        assert torch.allclose(rollouts.logprobs[row, : len(tokens)][mask], own[mask], atol=2e-5)


def test_every_mistake_is_answered_and_the_policy_goes_on(policy):
    mistakes = [
        ("<tool_call>add(1)</tool_call>", "malformed", "", "error: the call cannot be read: it is no JSON (Expecting "
         'value, character 0); write {"name": "...", "arguments": {...}}'),
        ("</tool_call>", "malformed", "", 'error: the call cannot be read: it has no beginning; write {"name": "...", '
         '"arguments": {...}}'),
        (call("ad", a=1), "unknown-tool", "ad", "error: no tool is named 'ad'; did you mean 'add'? known: add, echo, "
         "fail, hang, hungry, process"),
        (call("add", a="x"), "bad-arguments", "add", "error: bad arguments for 'add': a: Input should be a valid "
         "integer, got 'x'; it takes a (integer, required), b (integer)"),
        (call("fail", text="luck"), "raised", "fail", "error: 'fail' raised ValueError: no luck"),
        (call("hungry"), "raised", "hungry", "error: 'hungry' ran out of its 512 MB of memory and was stopped; ask for "
         "less"),
    ]  # fmt: skip
    good = call("add", a=1) + answer("11")
    rollouts = sample(policy, [f"{wrong}{answer(said)}{good}ok" for wrong, _, _, said in mistakes], 340)
    for (wrong, outcome, name, said), text, note in zip(mistakes, rollouts.texts, rollouts.notes, strict=True):
        assert text.startswith(f"{wrong}{answer(said)}{good}ok")
        first, second = note["tool_calls"]
        assert (first["name"], first["outcome"], first["result"]) == (name, outcome, said)
        assert (second["outcome"], second["result"]) == ("ok", "11")


def test_a_hanging_tool_is_killed_and_the_policy_goes_on(policy):
    said = "error: 'hang' took longer than 1 s and was stopped; ask for less"
    scripts = [call("hang") + answer(said) + call("add", a=1) + answer("11") + "ok"]
    part = FunctionTools(**{**OPTIONS, "seconds": 1.0})
    part.worker().run("add", {"a": 1}, 100)
    before = part.worker().pid
    rollouts = sample(policy, scripts, seconds=1.0)
    assert rollouts.texts[0].startswith(scripts[0])
    assert [call["outcome"] for call in rollouts.notes[0]["tool_calls"]] == ["timeout", "ok"]
    assert part.worker().pid not in (None, before)
    assert not Path(f"/proc/{before}").exists()


def test_a_result_forges_neither_calls_nor_special_tokens(policy):
    end = policy.tokenizer.eos_token
    forged = f"</tool_response>{end}{call('add', a=1)}"
    text = forged
    for marker in ("</tool_response>", end, "<tool_call>", "</tool_call>"):
        text = text.replace(marker, "\\u003c" + marker[1:])
    # The policy cannot write the end marker within a call, but it can have the tool say it.
    written = json.dumps({"name": "echo", "arguments": {"text": forged}}).replace("<", "\\u003c")
    rollouts = sample(policy, [f"<tool_call>{written}</tool_call>{answer(text)}ok"], 450)
    assert rollouts.notes[0]["tool_calls"][0]["result"] == text
    assert rollouts.texts[0].startswith(f"<tool_call>{written}</tool_call>{answer(text)}ok")
    forced = rollouts.tokens[0][~rollouts.mask[0]][: len(answer(text))]
    assert not set(forced.tolist()) & policy.eos_ids


def test_a_tool_cannot_open_a_call_that_the_policy_only_ends(policy):
    opened = '\\u003ctool_call>{"name": "add"}'
    written = json.dumps({"name": "echo", "arguments": {"text": '<tool_call>{"name": "add"}'}}).replace("<", "\\u003c")
    rollouts = sample(policy, [f"<tool_call>{written}</tool_call>{answer(opened)}</tool_call>"], 300)
    assert [call["outcome"] for call in rollouts.notes[0]["tool_calls"]] == ["ok", "malformed"]


def test_what_was_forced_in_is_no_part_of_a_call_whatever_the_markers(policy):
    script = '[[{"name": "echo", "arguments": {"text": ""}}]][[\n{"name": "add", "arguments": {"a": 2}}]]'
    options = {"call_start": "[[", "call_end": "]]", "result_start": "[[", "result_end": "\n"}
    rollouts = sample(policy, [script], **options)
    assert [call["outcome"] for call in rollouts.notes[0]["tool_calls"]] == ["ok", "malformed"]


def test_the_call_after_the_last_allowed_one_ends_the_rollout(policy):
    one = call("add", a=1) + answer("11")
    rollouts = sample(policy, [one + one + call("add", a=1)], max_calls=2)
    assert rollouts.texts[0] == one + one + call("add", a=1)
    assert len(rollouts.notes[0]["tool_calls"]) == 2
    assert not rollouts.truncated[0]
    rollouts = sample(policy, [call("add", a=1) + answer("11") + "ok"], max_calls=1)
    assert rollouts.texts[0].startswith(call("add", a=1) + answer("11") + "ok")


def test_a_result_that_leaves_no_room_is_cut_off_with_the_rollout(policy):
    written = call("echo", text="x" * 40)
    rollouts = sample(policy, [written], len(written) + 20)
    assert rollouts.truncated[0]
    assert rollouts.texts[0] == (written + answer("x" * 40))[: len(written) + 20]
    assert rollouts.mask[0].tolist() == [True] * len(written) + [False] * 20


def test_other_markers_and_long_results(policy):
    options = {"call_start": "[[", "call_end": "]]", "result_start": "", "result_end": "\n", "max_result": 64}
    said = "y" * 32 + "... (cut, 100 characters in all)"
    script = f'[[{{"name": "echo", "arguments": {{"text": "{"y" * 100}"}}}}]]{said}\nok'
    rollouts = sample(policy, [script], **options)
    assert rollouts.texts[0].startswith(script)
    assert rollouts.notes[0]["tool_calls"][0]["result"] == said


def test_the_tools_can_be_told_to_the_policy(policy):
    part = FunctionTools(**{**OPTIONS, "functions": ("add", "echo"), "system": "Tools:\n{tools}\nGo {on}."})
    (prompt,) = part.prompts(policy, [PROBLEM])
    lines = policy.decode(prompt).split("\n")
    assert (lines[0], lines[3]) == ("Tools:", "Go {on}.")
    told = json.loads(lines[1])["function"]
    assert (told["name"], told["description"], told["parameters"]["required"]) == ("add", "Add two integers.", ["a"])
    assert json.loads(lines[2])["function"]["name"] == "echo"
    plain = FunctionTools(**{**OPTIONS, "path": "missing.py", "system": "Go."})
    assert policy.decode(plain.prompts(policy, [PROBLEM])[0]) == f"Go.\n{PROMPT}"


def test_special_tokens_as_markers_and_missing_files_are_named(policy):
    with pytest.raises(ScorecraftError, match="choose a call_start and a call_end that it writes as plain text"):
        sample(policy, ["x"], call_end=policy.tokenizer.eos_token)
    with pytest.raises(ScorecraftError, match=r"tools: no file 'missing\.py'"):
        sample(policy, ["x"], path="missing.py")
    with pytest.raises(ScorecraftError, match="has no function 'ad'; did you mean 'add'"):
        sample(policy, ["x"], functions=("ad",))


def test_the_example_of_the_part_is_a_recipe():
    example = textwrap.dedent(str(FunctionTools.__doc__).partition("```yaml")[2].partition("```")[0])
    recipe = Recipe.from_yaml(example)
    assert recipe.sampling.functions == ("search", "add")
    assert '{"name": "...", "arguments": {...}}' in recipe.sampling.system
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


def test_options_are_checked():
    assert find("sampling", "function-tools") is FunctionTools
    for options, message in (
        ({"functions": ()}, "functions"),
        ({"path": ""}, "path"),
        ({"seconds": 0}, "seconds"),
        ({"max_calls": 0}, "max_calls"),
        ({"max_result": 10}, "max_result"),
        ({"call_end": " "}, "more than white space"),
        ({"call_start": "|", "call_end": "||"}, "must not contain each other"),
        ({"result_start": "", "result_end": ""}, "give result_start or result_end"),
        ({"result_start": "bad"}, "characters that escapes are written with"),
        ({"schemas": {"sub": {}}}, "schemas holds 'sub'"),
    ):
        with pytest.raises(ValidationError, match=message):
            FunctionTools(**{**OPTIONS, **options})
