"""Where a response begins and ends in a conversation, by real tokenizers and templates, and what a server tells."""

from __future__ import annotations

import http.server
import json
import math
import threading

import pytest
import torch

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.rewards.density_ratio_reward import DensityRatioReward
from scorecraft.rewards.endpoint_logprobs import EndpointLogprobs
from scorecraft.rewards.response_logprobs import PolicyLogprobs, messages_of, padded, sequence_logprobs

TURN = "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
OPENING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
CHATML = "{% for m in messages %}" + TURN + "{% endfor %}" + OPENING
# The opening has a thought that the answered turn does not have.
THINKING = CHATML.replace("assistant\n' }}", "assistant\n<think>' }}")
# The name of the last speaker comes first, so that nothing of the prompt stays where it was.
RENAMING = "{{ messages[-1]['role'] + ':' }}" + CHATML
MANGLING = CHATML.replace("m['content']", "m['content'] | upper").replace("assistant\n' }}", "assistant\n<think>' }}")


@pytest.fixture(scope="module")
def policy():
    return Policy(tunnel_model(2, 32, 4, initializer_range=0.5), tunnel_tokenizer(), "small")


def chat_policy(template=CHATML):
    tokenizer = tunnel_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template
    model = tunnel_model(1, 16, 2, initializer_range=0.5)
    model.resize_token_embeddings(len(tokenizer))
    return Policy(model, tokenizer, "chatty")


def by_plain_forward(policy, before, response):
    table = policy.model(torch.tensor([before + response])).logits[0].detach().log_softmax(1)
    return [float(table[len(before) + place - 1, token]) for place, token in enumerate(response)]


def test_plain_text_is_the_prompt_the_response_and_the_end(policy):
    found = sequence_logprobs(policy, ["1+1=?\n", "2+2=?\n"], ["#2", "#4 "], system="Do")
    for score, (question, answer) in zip(found, (("1+1=?\n", "#2"), ("2+2=?\n", "#4 ")), strict=True):
        before = policy.encode_prompt(question, system="Do")
        ids = [*policy.encode(answer), 2]
        assert score.tokens == (*answer, "<eos>")
        assert score.logprobs.tolist() == pytest.approx(by_plain_forward(policy, before, ids), abs=1e-4)
        assert score.counts.all()
    table, mask = padded(found)
    assert table.shape == mask.shape == (2, 4)
    assert mask.tolist() == [[True, True, True, False], [True] * 4]
    assert padded([])[0].shape == (0, 0)


def test_a_chat_template_gives_the_turn_and_its_end_and_nothing_after_it():
    policy = chat_policy()
    (found,) = sequence_logprobs(policy, ["q"], ["ab"], system="s")
    assert found.tokens == ("a", "b", "<|im_end|>")
    before = policy.encode_prompt("q", system="s")
    ids = [*policy.encode("ab"), policy.tokenizer.get_vocab()["<|im_end|>"]]
    assert found.logprobs.tolist() == pytest.approx(by_plain_forward(policy, before, ids), abs=1e-4)


def test_special_tokens_can_be_left_out():
    (found,) = sequence_logprobs(chat_policy(), ["q"], ["ab"], mask_special=True)
    assert found.counts.tolist() == [True, True, False]
    assert len(found.tokens) == 3


def test_a_conversation_of_several_turns_ends_with_the_response():
    turns = messages_of([
        {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}
    ])  # fmt: skip
    before, ids = PolicyLogprobs(chat_policy()).tokens(turns, "ab")
    policy = chat_policy()
    assert policy.tokenizer.decode(before).endswith("<|im_start|>user\nz<|im_end|>\n<|im_start|>assistant\n")
    assert policy.tokenizer.decode(ids) == "ab<|im_end|>"
    plain = Policy(tunnel_model(1, 16, 2), tunnel_tokenizer(), "plain")
    before, ids = PolicyLogprobs(plain).tokens(turns, "ab")
    assert plain.tokenizer.decode(before) == "<bos>x\ny\nz"


@pytest.mark.parametrize("template", [THINKING, RENAMING])
def test_a_template_that_writes_the_prompt_otherwise_is_told_and_the_response_found(template):
    policy = chat_policy(template)
    with pytest.warns(ScorecraftWarning, match="writes a prompt otherwise once it is answered"):
        before, ids = PolicyLogprobs(policy).tokens(messages_of("q ab"), "ab")
    assert policy.tokenizer.decode(ids) == "ab<|im_end|>"
    assert policy.tokenizer.decode(before).endswith("<|im_start|>assistant\n")


def test_a_template_that_changes_the_response_is_refused():
    with pytest.raises(ScorecraftError, match="changes the response"):
        PolicyLogprobs(chat_policy(MANGLING)).tokens(messages_of("q"), "ab")


def test_only_the_prompt_is_cut_and_it_is_told(policy):
    with pytest.warns(ScorecraftWarning, match="a prompt is cut to its last 409 of 601 tokens"):
        before, ids = PolicyLogprobs(policy).tokens(messages_of("x" * 500 + "y" * 100), "a" * 102)
    assert policy.tokenizer.decode(before) == "x" * 309 + "y" * 100
    assert len(before) + len(ids) == 512
    with pytest.raises(ScorecraftError, match="a response has 512 tokens"):
        PolicyLogprobs(policy).tokens(messages_of("q"), "a" * 511)


@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_response_is_refused(policy, response):
    for model in (PolicyLogprobs(policy), EndpointLogprobs("http://localhost:1/v1", "m")):
        with pytest.raises(ScorecraftError, match="a response is empty"):
            model([messages_of("q")], [response])


def test_each_conversation_has_its_response(policy):
    with pytest.raises(ScorecraftError, match="1 conversations, but 2 responses"):
        PolicyLogprobs(policy)([messages_of("q")], ["a", "b"])


def test_a_policy_against_a_copy_with_other_weights():
    strong, weak = chat_policy(), Policy(tunnel_model(1, 16, 2, initializer_range=0.5), tunnel_tokenizer(), "weak")
    reward = DensityRatioReward(PolicyLogprobs(strong), PolicyLogprobs(weak), "sum")
    (above,), (below,) = sequence_logprobs(strong, ["q"], ["ab"]), sequence_logprobs(weak, ["q"], ["ab"])
    expected = float(above.logprobs.sum() - below.logprobs.sum())
    assert reward(["q"], ["ab"]).tolist() == pytest.approx([expected], abs=1e-5)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as vLLM does; a token is a character, which costs 1 where it is a vowel and else 2."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body))
        reply = self.server.answer(self.path, body)
        status = reply if isinstance(reply, int) else 200
        data = json.dumps(reply).encode() if status == 200 else b"no"
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def cost(letter):
    return -1.0 if letter in "aeiou" else -2.0


def chat_reply(path, body):
    text = "".join(f"[{turn['role']}]{turn['content']}" for turn in body["messages"])
    text += "[assistant]" if body["add_generation_prompt"] else "."
    entries = [{str(ord(c)): {"logprob": cost(c), "rank": 1, "decoded_token": c}} for c in text]
    return {"choices": [{}], "prompt_logprobs": [None, *entries[1:]]}


def echo_reply(path, body):
    text = body["prompt"] + "!"
    told = {
        "tokens": list(text), "text_offset": list(range(len(text))),
        "token_logprobs": [None, *(cost(c) for c in text[1:])],
    }  # fmt: skip
    return {"choices": [{"text": text, "logprobs": told}]}


@pytest.fixture
def server():
    held = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    held.seen, held.answer = [], chat_reply
    held.url = f"http://127.0.0.1:{held.server_address[1]}/v1"
    thread = threading.Thread(target=held.serve_forever, daemon=True)
    thread.start()
    yield held
    held.shutdown()
    held.server_close()
    thread.join()


def test_a_server_with_prompt_log_probabilities(server):
    model = EndpointLogprobs.parse(f"{server.url}/#m")
    found = model([messages_of("x", "s"), messages_of("y")], ["ab", "e"])
    assert [score.tokens for score in found] == [("a", "b", "."), ("e", ".")]
    assert [score.logprobs.tolist() for score in found] == [[-1.0, -2.0, -2.0], [-1.0, -2.0]]
    assert all(score.counts.all() for score in found)
    path, body = next(seen for seen in server.seen if len(seen[1]["messages"]) == 3)
    assert path == "/v1/chat/completions"
    assert body["messages"] == [*messages_of("x", "s"), {"role": "assistant", "content": "ab"}]
    assert (body["model"], body["prompt_logprobs"], body["max_tokens"]) == ("m", 0, 1)
    assert body["add_generation_prompt"] is False


def test_a_server_that_echoes(server):
    server.answer = echo_reply
    model = EndpointLogprobs(server.url, "m", mode="echo", end=".")
    (found,) = model([messages_of("xx")], ["ab"])
    assert found.tokens == ("a", "b", ".")
    assert found.logprobs.tolist() == [-1.0, -2.0, -2.0]
    assert server.seen[0][0] == "/v1/completions"
    assert server.seen[0][1]["prompt"] == "xxab."


def test_an_impossible_token_of_a_server_stays_so(server):
    server.answer = lambda path, body: {
        "prompt_logprobs": [None, *([{"1": {"logprob": -math.inf, "decoded_token": "a"}}] * len(body["messages"]))]
    }
    (found,) = EndpointLogprobs(server.url, "m")([messages_of("x")], ["a"])
    assert found.logprobs.tolist() == [-math.inf]


@pytest.mark.parametrize("mode", ["chat", "echo"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda path, body: {"choices": [{"message": {"content": "hi"}}]},
        lambda path, body: {"choices": [{"text": "!", "logprobs": {
            "tokens": ["!"], "token_logprobs": [-1.0], "text_offset": [99],
        }}]},
        lambda path, body: 400,
        lambda path, body: 404,
        lambda path, body: [],
    ],
)  # fmt: skip
def test_a_server_without_them_is_told_what_is_needed(server, mode, answer):
    server.answer = answer
    with pytest.raises(ScorecraftError, match=r"gave no log-probabilities.*prompt_logprobs.*'echo' with 'logprobs'"):
        EndpointLogprobs(server.url, "m", mode=mode)([messages_of("q")], ["ab"])


def test_a_server_whose_template_writes_the_prompt_otherwise(server):
    def renamed(path, body):
        reply = chat_reply(path, body)
        if not body["add_generation_prompt"]:
            reply["prompt_logprobs"].insert(1, {"0": {"logprob": -1.0, "decoded_token": "?"}})
        return reply

    server.answer = renamed
    with pytest.raises(ScorecraftError, match="writes a prompt otherwise once it is answered"):
        EndpointLogprobs(server.url, "m")([messages_of("q")], ["ab"])


def test_a_server_that_fails_or_is_not_there(server):
    server.answer = lambda path, body: 500
    with pytest.raises(ScorecraftError, match="the server answered 500"):
        EndpointLogprobs(server.url, "m")([messages_of("q")], ["ab"])
    with pytest.raises(ScorecraftError, match="no answer that can be read"):
        EndpointLogprobs("http://127.0.0.1:9/v1", "m", timeout=5.0)([messages_of("q")], ["ab"])


@pytest.mark.parametrize("text", ["http://127.0.0.1:9/v1", "file:///etc/passwd#m", "localhost#m"])
def test_an_address_that_is_none(text):
    with pytest.raises(ScorecraftError, match="expected an http address up to the version"):
        EndpointLogprobs.parse(text)
