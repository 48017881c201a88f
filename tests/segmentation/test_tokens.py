"""Between characters and tokens, with tokenizers of every kind."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from scorecraft.errors import ScorecraftError
from scorecraft.lm.tunnel import tunnel_tokenizer
from scorecraft.segmentation import by_line, character_spans, segment, steps_of_tokens, token_ranges, token_spans
from scorecraft.segmentation.token_spans import _pieces, _spans_in_bytes

CORPUS = [
    "The answer is 42.\nSo we add 3 and 4.\n\nThen stop.",
    "今天很好。明天呢。好好学习。天天向上。",
    "🎉🎉 🎊 👩\u200d👧 e\u0301e\u0301 naïve café Ünïcode",
    "<step>one</step> <step>two</step> ...",
] * 3
ALPHABET = "ab The\n.3é\u0301e今天好。🎉👩\u200d👧 ü\u00a0"
texts = st.text(ALPHABET, max_size=40)


def byte_level(special=("<|end|>",), added=()):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=list(special),
        show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator(CORPUS, trainer)
    inner.add_tokens([AddedToken(one, special=False, normalized=False) for one in added])
    return inner


def with_byte_fallback(decoder=None, normalizer=None):
    """A tokenizer of the kind of Llama 2: pieces with a mark for a space, and bytes for characters it does not have."""
    characters = [*"▁abTheés3.\n", "好", "▁a", "Th", "The"]
    vocabulary = {one: place for place, one in enumerate(["<unk>", "</s>", *characters])}
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    merges = [("▁", "a"), ("T", "h"), ("Th", "e")]
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(" ", "▁")
    inner.normalizer = normalizer or normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    inner.decoder = decoder or decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens(["</s>"])
    return inner


def metaspace():
    pieces = ["<unk>", "▁", "▁a", "a", "b", "▁The", "é", "好", "🎉", "."]
    inner = Tokenizer(models.Unigram([(piece, -1.0 - place / 10) for place, piece in enumerate(pieces)], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return inner


def word_pieces():
    """Its decoder takes the spaces before marks away, across tokens."""
    pieces = ["[UNK]", "a", "b", "##b", "do", "not", "n", "'", "t", ".", "好", "!"]
    inner = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece(cleanup=True)
    return inner


def without_decoder():
    return Tokenizer(models.WordLevel({"a": 0, "é": 1, "🎉": 2}, unk_token="a"))


class Reversed:
    """A decoder written in Python, of which nothing is known."""

    def decode_chain(self, tokens):
        return ["".join(tokens).replace("ab", "🎉")]


def custom():
    inner = without_decoder()
    inner = Tokenizer(models.WordLevel({"a": 0, "b": 1, "🎉": 2}, unk_token="a"))
    inner.decoder = decoders.Decoder.custom(Reversed())
    return inner


BYTES = byte_level(added=["<think>", "好🎉 ", "é"])
FALLBACK = with_byte_fallback()
TUNNEL = tunnel_tokenizer()
TOKENIZERS = {
    "bytes": BYTES,
    "fallback": FALLBACK,
    "fallback-without-strip": with_byte_fallback(
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
        normalizers.Replace(" ", "▁"),
    ),
    "metaspace": metaspace(),
    "word-pieces": word_pieces(),
    "no-decoder": without_decoder(),
    "custom": custom(),
    "tunnel": TUNNEL,
    "tunnel-inner": TUNNEL.backend_tokenizer,
    "bytes-of-transformers": PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<|end|>"),
}


# Decoders behind the bytes of which one must know what they do to the text.
SLOW = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("b", "bb")])
TOKENIZERS["slow-bytes"] = byte_level()
TOKENIZERS["slow-bytes"].decoder = SLOW


def inner_of(tokenizer):
    return getattr(tokenizer, "backend_tokenizer", tokenizer)


def check_spans(text, spans):
    """Spans cover the text in order; only those of one shared character overlap."""
    assert "".join(text[start:end] for start, end in _without_shared(spans)) == text
    full = [span for span in spans if span.start < span.end]
    for before, after in pairwise(full):
        assert before.start <= after.start <= before.end <= after.end
        assert after.start >= before.end - 1


def _without_shared(spans):
    position = 0
    for start, end in spans:
        assert start <= position or start == end
        yield max(start, position), end
        position = max(position, end)


def decode(tokenizer, ids):
    return inner_of(tokenizer).decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_spans_cover_what_any_tokens_decode_to(name):
    tokenizer = TOKENIZERS[name]
    size = inner_of(tokenizer).get_vocab_size()

    # Any ids, so broken characters, special tokens anywhere, and one id that is not in the vocabulary.
    @given(st.lists(st.integers(0, size), max_size=24))
    def check(ids):
        text = decode(tokenizer, ids)
        spans = token_spans(tokenizer, ids, text)
        assert len(spans) == len(ids)
        check_spans(text, spans)
        assert spans == token_spans(tokenizer, ids)

    check()


@pytest.mark.parametrize("name", ["bytes", "tunnel", "fallback", "fallback-without-strip", "metaspace"])
def test_usual_tokenizers_are_put_together_and_not_decoded_again_and_again(name):
    tokenizer = TOKENIZERS[name]
    special = {token for token, added in inner_of(tokenizer).get_added_tokens_decoder().items() if added.special}
    ids = sorted(set(range(inner_of(tokenizer).get_vocab_size())) - special)

    @given(st.lists(st.sampled_from(ids), max_size=24))
    def check(ids):
        assert _pieces(tokenizer, inner_of(tokenizer)).spans(ids)[0] == decode(tokenizer, ids)

    check()


@pytest.mark.parametrize("name", ["bytes", "tunnel", "fallback-without-strip", "bytes-of-transformers"])
def test_spans_are_the_offsets_of_the_tokenizer(name):
    tokenizer = inner_of(TOKENIZERS[name])

    @given(texts if name != "tunnel" else st.text("ab 3.\nT", max_size=40))
    def check(text):
        coded = tokenizer.encode(text, add_special_tokens=False)
        if decode(tokenizer, coded.ids) == text:
            assert token_spans(TOKENIZERS[name], coded.ids, text) == coded.offsets
        else:  # the added token "é" decodes to the one byte that this character stands for, which is no text
            assert (name, "é" in text) == ("bytes", True)

    check()


@pytest.mark.parametrize("name", ["bytes", "tunnel", "fallback", "bytes-of-transformers"])
def test_the_tokens_of_a_span_decode_to_its_text_where_no_character_is_split(name):
    tokenizer = inner_of(TOKENIZERS[name])

    @given(texts if name != "tunnel" else st.text("ab 3.\nT", max_size=40), st.data())
    def check(text, data):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        shown = decode(tokenizer, ids)
        spans = token_spans(TOKENIZERS[name], ids, shown)
        first = data.draw(st.integers(0, len(ids)))
        last = data.draw(st.integers(first, len(ids)))
        inside = spans[first:last]
        whole = all(
            not inside or one.end <= inside[0].start or one.start >= inside[-1].end
            for one in spans[:first] + spans[last:]
        )
        if inside and whole:
            start, end = inside[0].start, inside[-1].end
            # The decoder of Llama 2 leaves out a space where a text begins, so what comes before is decoded too.
            before = decode(tokenizer, ids[:first])
            assert decode(tokenizer, ids[:last])[len(before) :] == shown[start:end]
            if name != "fallback":
                assert decode(tokenizer, ids[first:last]) == shown[start:end]

    check()


@pytest.mark.parametrize("decoder", [decoders.ByteLevel(), SLOW])
def test_tokens_that_share_a_character_have_the_same_span(decoder):
    bare = byte_level(special=())
    bare.decoder = decoder
    byte_of = {token: bare.token_to_id(token) for token in "ðŁİīa"}
    ids = [byte_of[token] for token in "aðŁİīa"]  # 🎉 is F0 9F 8E 89
    assert decode(bare, ids) == "a🎉a"
    assert token_spans(bare, ids) == [(0, 1), (1, 2), (1, 2), (1, 2), (1, 2), (2, 3)]
    # Cut short, the three bytes are one unknown character.
    assert decode(bare, [*ids[:4], ids[0]]) == "a\ufffda"
    assert token_spans(bare, [*ids[:4], ids[0]]) == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]
    # A part without bytes has no characters, even inside one.
    assert _spans_in_bytes([b"\xf0", b"", b"\x9f\x8e\x89"]) == ("🎉", [(0, 1), (1, 1), (0, 1)])


def test_byte_tokens_share_a_character_too():
    ids = [FALLBACK.token_to_id(token) for token in ("▁a", "<0xF0>", "<0x9F>", "<0x8E>", "<0x89>", "b", "▁a")]
    assert decode(FALLBACK, ids) == "a🎉b a"
    assert token_spans(FALLBACK, ids) == [(0, 1), *[(1, 2)] * 4, (2, 3), (3, 5)]
    # A run that is no text is one unknown character for each of its bytes.
    assert decode(FALLBACK, ids[:3]) == "a\ufffd\ufffd"
    # The decoder leaves out the space that a text begins with, also where that is a byte.
    space = [FALLBACK.token_to_id(token) for token in ("<0x20>", "<0xC3>", "<0xA9>", "b")]
    assert decode(FALLBACK, space) == "éb"
    assert token_spans(FALLBACK, space) == [(0, 0), (0, 1), (0, 1), (1, 2)]
    assert token_spans(FALLBACK, ids[:3]) == [(0, 1), (1, 2), (2, 3)]


def test_special_tokens_and_unknown_ids_are_empty():
    end = BYTES.token_to_id("<|end|>")
    think = BYTES.token_to_id("<think>")
    a = BYTES.token_to_id("a")
    assert token_spans(BYTES, [end, a, end, think, 10**6, end]) == [(0, 0), (0, 1), (1, 1), (1, 8), (8, 8), (8, 8)]
    assert token_spans(TUNNEL, [1, 5, 2, 0]) == [(0, 0), (0, 1), (1, 1), (1, 1)]
    assert token_spans(BYTES, []) == []


def test_a_text_that_the_tokens_are_not():
    with pytest.raises(ScorecraftError, match=r"from character 1 on it is 'x', the tokens are 'b'"):
        token_spans(BYTES, BYTES.encode("ab").ids, "ax")
    with pytest.raises(ScorecraftError, match="expected a fast tokenizer, got str"):
        token_spans("gpt2", [1])


def test_a_changed_decoder_or_a_new_special_token_is_noticed():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level(added=["<think>"]), eos_token="<|end|>")
    ids = [tokenizer.convert_tokens_to_ids("<think>"), tokenizer.convert_tokens_to_ids("Ġa"), 5]
    assert token_spans(tokenizer, ids)[:2] == [(0, 7), (7, 9)]
    tokenizer.add_special_tokens({"pad_token": "<think>"})
    check_spans(tokenizer.decode(ids, skip_special_tokens=True), token_spans(tokenizer, ids))
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    check_spans(tokenizer.backend_tokenizer.decode(ids), token_spans(tokenizer, ids))


# Steps and tokens.


def rule(spans, tokens, gaps, delimiter_length):
    """The rule of `steps_of_tokens`, token by token."""
    labels = []
    for first, end in tokens:
        label = -1
        touched = [step for step, (a, b) in enumerate(spans) if max(a, first) < min(b, end)]
        before = [step for step, (a, b) in enumerate(spans) if a < b <= first]
        later = any(a < b and a >= end for a, b in spans)
        if first < end and touched:
            label = touched[0]
        elif first < end and before:
            near = first < spans[before[-1]][1] + delimiter_length
            label = before[-1] if near or (gaps == "previous" and later) else -1
        labels.append(label)
    return labels


def test_a_delimiter_belongs_to_the_step_that_it_ends():
    text = "ab\ncd\n\n"
    characters = [(place, place + 1) for place in range(len(text))]
    assert steps_of_tokens(by_line(text), characters) == [0, 0, 0, 1, 1, 1, -1]
    assert steps_of_tokens([(0, 2), (3, 5)], characters, delimiter_length=2) == [0, 0, 0, 1, 1, 1, 1]
    assert steps_of_tokens([(0, 2), (3, 5)], characters, delimiter_length=0) == [0, 0, 0, 1, 1, -1, -1]
    # What is before the first step is outside; what is between two is the first one's, or outside.
    assert steps_of_tokens([(1, 2), (5, 6)], characters) == [-1, 0, 0, 0, 0, 1, 1]
    assert steps_of_tokens([(1, 2), (5, 6)], characters, gaps="outside") == [-1, 0, 0, -1, -1, 1, 1]


def test_a_token_that_reaches_into_a_step_is_in_it():
    # "Yes." " So" ".\n\nNo"
    assert steps_of_tokens([(0, 4), (5, 8), (10, 12)], [(0, 4), (4, 7), (7, 12)]) == [0, 1, 1]


def test_empty_steps_and_special_tokens_have_no_tokens():
    assert steps_of_tokens([(0, 0), (0, 1), (1, 1), (2, 3)], [(0, 0), (0, 1), (1, 1), (1, 2), (2, 3)]) == [
        -1,
        1,
        -1,
        1,
        3,
    ]
    assert steps_of_tokens([], [(0, 1)]) == [-1]
    assert steps_of_tokens([(0, 1)], []) == []


def test_bad_options_are_refused():
    with pytest.raises(ScorecraftError, match="expected gaps"):
        steps_of_tokens([], [], gaps="x")
    with pytest.raises(ScorecraftError, match="0 characters or more"):
        steps_of_tokens([], [], delimiter_length=-1)
    with pytest.raises(ScorecraftError, match=r"range \(0, 2\) is not in 1 tokens"):
        character_spans([(0, 2)], [(0, 1)])


spans_of_a_text = (
    st.lists(st.integers(0, 20), max_size=12).map(sorted).map(lambda e: list(zip(e[::2], e[1::2], strict=False)))
)


@given(spans_of_a_text, st.lists(st.integers(0, 20), min_size=2, max_size=14).map(sorted),
       st.sampled_from(["previous", "outside"]), st.integers(0, 3))  # fmt: skip
def test_steps_of_tokens_follow_the_rule(spans, edges, gaps, delimiter_length):
    tokens = list(pairwise(edges))
    labels = steps_of_tokens(spans, tokens, gaps=gaps, delimiter_length=delimiter_length)
    assert labels == rule(spans, tokens, gaps, delimiter_length)
    seen = [label for label in labels if label >= 0]
    assert seen == sorted(seen)


@given(spans_of_a_text, st.lists(st.integers(0, 20), min_size=2, max_size=14).map(sorted))
def test_ranges_of_tokens_are_in_order_and_hold_the_step(spans, edges):
    edges = [0, *edges, 21]
    tokens = list(pairwise(edges))
    ranges = token_ranges(spans, tokens)
    assert len(ranges) == len(spans)
    assert all(before.end <= after.start for before, after in pairwise(ranges))
    back = character_spans(ranges, tokens)
    borders = set(edges)
    for place, ((start, end), (first, last)) in enumerate(zip(spans, back, strict=True)):
        if start < end and {start, end} <= borders:
            assert (first, last) == (start, end), place


@pytest.mark.parametrize("name", ["bytes", "fallback", "bytes-of-transformers"])
def test_steps_survive_the_way_to_tokens_and_back(name):
    tokenizer = inner_of(TOKENIZERS[name])

    @given(texts, st.sampled_from(["line", "blank-line", "sentence"]))
    def check(text, by):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        shown = decode(tokenizer, ids)
        tokens = token_spans(TOKENIZERS[name], ids, shown)
        spans = segment(shown, by=by)
        back = character_spans(token_ranges(spans, tokens), tokens)
        for (start, end), (first, last) in zip(spans, back, strict=True):
            held = [token for token in tokens if max(token.start, start) < min(token.end, end)]
            assert first <= held[-1].start
            if held[0].start == start:
                assert first == start
            if all(token.end <= end for token in held):
                assert last == end

    check()


@given(
    st.lists(st.sampled_from(["ab", "", " ", "3 + 4 = 7"]), max_size=6),
    st.lists(st.integers(0, 3), max_size=3),
)
def test_with_a_token_per_character_a_line_and_its_break_are_a_step(lines, specials):
    text = "\n".join(lines)
    ids = [*TUNNEL.encode(text, add_special_tokens=False), *specials]
    expected, step = [], -1
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    for number, line in enumerate(lines):
        step += bool(line.strip())
        # Blank lines are the step's before them; behind the last step only its own break is.
        label = step if number <= last else -1
        expected += [label] * (len(line) + 1)
    labels = steps_of_tokens(by_line(text), token_spans(TUNNEL, ids, text))
    assert labels == expected[: len(text)] + [-1] * len(specials)
