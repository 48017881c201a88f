"""`Policy`: a causal language model with its tokenizer, and where recipes find one by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.lm.memory import reuse_freed_memory
from scorecraft.lm.threads import match_compiled_loops

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from scorecraft.lm.cache import Progress
    from scorecraft.lm.continuations import Continuations
    from scorecraft.lm.step_depths import StepDepths
    from scorecraft.rollouts import Rollouts
    from scorecraft.tasks.task import Task

Chat = Literal["auto", "always", "never"]
BUILT_IN = ("tunnel-tiny", "smollm2-135m")
END_OF_TURN = "<|im_end|>"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(eq=False)
class Policy:
    """A causal language model and its tokenizer; the model is kept in evaluation mode unless a trainer says else.

    A tokenizer without a pad token pads with its end-of-sequence token, which no mask ever counts.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str

    def __post_init__(self) -> None:
        if self.tokenizer.pad_token_id is None:
            if self.tokenizer.eos_token is None:
                raise ScorecraftError(
                    f"policy '{self.name}': its tokenizer has neither a pad nor an end-of-sequence token; "
                    "set one of them in its tokenizer_config.json"
                )
            self.tokenizer.pad_token = self.tokenizer.eos_token
        reuse_freed_memory()
        match_compiled_loops()
        self.model.eval()
        self._token_texts: dict[int, str] = {}

    @classmethod
    def load(
        cls, folder: str | Path, *, name: str | None = None, device: str = "cpu", dtype: str = "float32"
    ) -> Policy:
        """Load any Hugging Face causal language model: a folder, or a hub name ``owner/model``.

        Raises:
            ScorecraftError: where there is no such folder or model, its configuration or tokenizer is missing,
                it is not a causal language model, or the device or dtype is not there.
        """
        source = _source(folder)
        weights_type = _known_dtype(dtype)
        place = _known_device(device)
        model = _load_model(source, weights_type)
        tokenizer = _load_tokenizer(source)
        model.to(place)  # pyright: ignore[reportArgumentType]
        return cls(model, tokenizer, name or Path(source).name)

    def save(self, folder: str | Path) -> None:
        """Write safetensors weights and the tokenizer to ``folder``, where `load` finds the same policy."""
        with _no_bars():
            self.model.save_pretrained(str(folder))
            self.tokenizer.save_pretrained(str(folder))

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self.model.device

    @property
    def context_length(self) -> int:
        """The most tokens, prompt and completion together, that the model can attend to."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or self.tokenizer.model_max_length)

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every token that ends a completion: the model's, the tokenizer's and the chat template's."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = set(configured) if isinstance(configured, list) else {configured}
        ids.add(self.tokenizer.eos_token_id)
        if END_OF_TURN in str(self.tokenizer.chat_template or ""):
            ids.add(self.tokenizer.get_vocab().get(END_OF_TURN))
        return frozenset(int(token) for token in ids if token is not None)

    @property
    def pad_id(self) -> int:
        """The token that fills rows up to equal length."""
        return int(self.tokenizer.pad_token_id)  # pyright: ignore[reportArgumentType]

    @property
    def parameter_count(self) -> int:
        """Number of weights, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def encode_prompt(self, text: str, *, system: str | None = None, chat: Chat = "auto") -> list[int]:
        """Return the tokens of a prompt, up to where the completion begins.

        Args:
            text: what the user says.
            system: an instruction put before it.
            chat: "always" renders the tokenizer's chat template and opens the assistant's turn; "never" gives
                plain text, with the beginning-of-sequence token where the tokenizer puts one; "auto" is
                "always" where there is a template and "never" elsewhere.

        Raises:
            ScorecraftError: where ``chat`` is "always" and the tokenizer has no chat template.
        """
        if not self._renders_chat(chat):
            ids = self.tokenizer.encode(f"{system}\n{text}" if system else text, add_special_tokens=True)
            # Some tokenizers close a text as well as opening it; a prompt stays open.
            return ids[:-1] if ids and ids[-1] in self.eos_ids else ids
        turns = [{"role": "system", "content": system}] if system else []
        return self.encode(self._render([*turns, {"role": "user", "content": text}]))

    def encode_follow_up(self, text: str, *, chat: Chat = "auto") -> list[int]:
        """Return the tokens between the end of the policy's turn and its next one: what the user says.

        With a chat template these are the user's turn and the opening of the assistant's; the token that ended
        the policy's own turn is not repeated. Without one it is the text alone. ``chat`` is as in `encode_prompt`.

        Raises:
            ScorecraftError: where ``chat`` is "always" and the tokenizer has no chat template.
        """
        if not self._renders_chat(chat):
            return self.encode(text)
        answer = "\x02"
        turns = [("user", "x"), ("assistant", answer), ("user", text)]
        rendered = self._render([{"role": role, "content": content} for role, content in turns])
        ids = self.encode(rendered.partition(answer)[2])
        return ids[1:] if ids and ids[0] in self.eos_ids else ids

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text alone, with no special token added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of tokens, special tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def token_text(self, token: int) -> str:
        """Return one token as text for display, special tokens by their name, parts of a character as stored."""
        known = self._token_texts.get(token)
        if known is None:
            known = self._token_texts[token] = self._token_text(token)
        return known

    def score_tokens(
        self,
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Sequence[int]],
        *,
        temperature: float = 1.0,
        tokens_per_batch: int = 16384,
    ) -> Float32[Tensor, "rollout token"]:
        """Return the log-probability of every given token, ``log P(completion[j] | prompt, completion[:j])``.

        Without gradient, right-padded with 0, on the processor. Equal prompts of a batch are computed once.

        Args:
            prompts: the tokens before each completion, at least one.
            completions: the tokens to score; an empty one gives a row of 0.
            temperature: divides the logits; above 0.
            tokens_per_batch: how many tokens, padding counted, go through the model at a time.

        Raises:
            ScorecraftError: for unequal numbers of prompts and completions, an empty prompt, a token outside the
                vocabulary, a text longer than the context, or a temperature that is not above 0.
        """
        from scorecraft.lm.logprobs import score_tokens

        return score_tokens(self, prompts, completions, temperature=temperature, tokens_per_batch=tokens_per_batch)

    def state_features(self, rollouts: Rollouts) -> Float32[Tensor, "sampled width"]:
        """Return what the policy knows before every sampled token: its last hidden state, after the final norm.

        Without gradient, on the processor, rollout by rollout in the order of ``rollouts.mask``.
        """
        from scorecraft.lm.logprobs import state_features

        return state_features(self, rollouts)

    def continuations(
        self,
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Sequence[int]],
        cuts: Sequence[Sequence[int]],
        *,
        samples: int,
        seeds: Sequence[int],
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        closing: Sequence[int] = (),
    ) -> Continuations:
        """Draw ``samples`` continuations of every beginning of every completion; see `lm.continuations`.

        Args:
            prompts: the tokens before each completion, at least one.
            completions: tokens.
            cuts: for each completion, how many of its tokens the beginnings keep.
            samples: continuations of each beginning.
            seeds: of the random numbers of each completion.
            max_new_tokens: after the cut, forced tokens included.
            temperature: of the continuations.
            top_p: least probability of the tokens drawn from.
            closing: tokens forced after the cut.

        Raises:
            ScorecraftError: for unequal numbers, a cut outside its completion, or what does not fit the context.
        """
        from scorecraft.lm.continuations import continuations
        from scorecraft.lm.generate import SamplingSettings

        settings = SamplingSettings(max_new_tokens, temperature, 0, top_p)
        return continuations(self, prompts, completions, cuts, settings, samples=samples, seeds=seeds, closing=closing)

    def step_depths(
        self,
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Sequence[int]],
        steps: Sequence[Sequence[int]],
        *,
        layers: Sequence[int] | None = None,
        attention: bool = False,
        tokens_per_batch: int = 4096,
    ) -> StepDepths:
        """Return how far the late layers move the next-token distribution at every step, its Reasoning Score in nats.

        Without gradient, on the processor; with the perplexity and entropy of every step.

        Args:
            prompts: the tokens before each completion, at least one.
            completions: the tokens to measure.
            steps: for each token of a completion the step that it is in, -1 outside any.
            layers: which late layers, counted from 1; every second one of the upper half where not given.
            attention: also measure the attention from step to step.
            tokens_per_batch: how many tokens, padding counted, go through the model at a time.

        Raises:
            ScorecraftError: for unequal numbers of prompts, completions and steps, an empty prompt, a token outside the
                vocabulary, a text longer than the context, a layer that is not there or the last, or a model without
                an accessible final norm, unembedding, hidden states or attention.
        """
        from scorecraft.lm.step_depths import score_step_depths

        return score_step_depths(
            self, prompts, completions, steps, layers=layers, attention=attention, tokens_per_batch=tokens_per_batch
        )

    def _token_text(self, token: int) -> str:
        text = str(self.tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False))
        return text if text and "\ufffd" not in text else str(self.tokenizer.convert_ids_to_tokens(token))

    def _renders_chat(self, chat: Chat) -> bool:
        if chat not in ("auto", "always", "never"):
            raise ScorecraftError(f"unknown chat mode '{chat}': {nearest(chat, ('auto', 'always', 'never'))}")
        has_template = bool(self.tokenizer.chat_template)
        if chat == "always" and not has_template:
            raise ScorecraftError(f"policy '{self.name}' has no chat template; set 'chat: never' (or 'auto')")
        return has_template and chat != "never"

    def _render(self, turns: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing a progress bar: writing a checkpoint is over in a moment."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def resolve_policy(
    name_or_path: str,
    options: dict[str, Any],
    task: Task,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Progress | None = None,
) -> Policy:
    """Return the policy that a recipe names.

    Args:
        name_or_path: "tunnel-tiny" (warm-started on ``task``), "smollm2-135m", a folder, or ``owner/model``.
        options: the fields of `scorecraft.lm.warm_start.WarmStart` for "tunnel-tiny"; nothing for others.
        task: the recipe's task.
        device: where the weights go.
        dtype: "float32", "bfloat16" or "float16".
        progress: told how far a warm start or a conversion is.

    Raises:
        ScorecraftError: for an unknown name or option, or a task that no tunnel policy can be warm-started on.
    """
    if name_or_path == "tunnel-tiny":
        return _tunnel_tiny(options, task, device, dtype, progress)
    if options:
        raise ScorecraftError(f"policy '{name_or_path}' takes no options, but got {', '.join(sorted(options))}")
    if name_or_path == "smollm2-135m":
        from scorecraft.lm.smollm2 import smollm2_135m

        return Policy.load(smollm2_135m(progress=progress), name=name_or_path, device=device, dtype=dtype)
    if "/" not in name_or_path and not Path(name_or_path).expanduser().exists():
        raise ScorecraftError(
            f"unknown policy '{name_or_path}': {nearest(name_or_path, BUILT_IN)}; or the folder of a model, "
            "or a hub name 'owner/model'"
        )
    return Policy.load(name_or_path, device=device, dtype=dtype)


def _tunnel_tiny(options: dict[str, Any], task: Task, device: str, dtype: str, progress: Progress | None) -> Policy:
    from scorecraft.lm.warm_start import WarmStart, warm_start
    from scorecraft.tasks.task import TunnelTask

    if not isinstance(task, TunnelTask):
        raise ScorecraftError(
            f"policy 'tunnel-tiny' learns from a generated task's worked steps, and '{task.name}' has none; "
            "take a pretrained policy such as 'smollm2-135m' for this task"
        )
    place, weights_type = _known_device(device), _known_dtype(dtype)
    policy = warm_start(task, WarmStart.from_options(options), progress=progress)
    policy.model.to(device=place, dtype=weights_type)  # pyright: ignore[reportCallIssue]
    return policy


def _source(folder: str | Path) -> str:
    """Tell a folder from a hub name, and refuse what can be neither."""
    path = Path(folder).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ScorecraftError(
                f"{path}: no config.json in it; expected the folder of a Hugging Face model, as save_pretrained writes"
            )
        return str(path)
    if path.exists():
        raise ScorecraftError(f"{path}: a file; expected the folder of a Hugging Face model")
    text = str(folder)
    if isinstance(folder, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise ScorecraftError(f"{path}: no such folder; expected the folder of a Hugging Face model")
    return text


def _known_dtype(dtype: str) -> torch.dtype:
    if dtype not in DTYPES:
        raise ScorecraftError(f"unknown dtype '{dtype}': {nearest(dtype, DTYPES)}")
    return DTYPES[dtype]


def _known_device(device: str) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ScorecraftError(f"device '{device}' is not on this machine ({reason}); 'cpu' always is") from error
    return place


def _load_model(source: str, dtype: torch.dtype) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForCausalLM

    local = Path(source).is_dir()
    expected = "expected a causal language model such as LlamaForCausalLM"
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=local)
        model, info = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            source, config=config, dtype=dtype, local_files_only=local, output_loading_info=True
        )
    except OSError as error:
        reason = str(error).splitlines()[0]
        where = "the folder has no weights that load" if local else "neither a folder here nor a model on the hub"
        raise ScorecraftError(f"{source}: {where} ({reason})") from error
    except ValueError as error:
        raise ScorecraftError(f"{source}: {expected} ({str(error).splitlines()[0]})") from error
    named = getattr(config, "architectures", None) or []
    if named and type(model).__name__ not in named:
        raise ScorecraftError(f"{source}: its config.json says {', '.join(named)}; {expected}")
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ScorecraftError(f"{source}: its weights lack {missing}; {expected} saved whole")
    return model


def _load_tokenizer(source: str) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    local = Path(source).is_dir()
    if local and not any((Path(source) / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise ScorecraftError(f"{source}: no tokenizer.json in it; save the model's tokenizer to the same folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
    except (OSError, ValueError, ImportError) as error:
        raise ScorecraftError(f"{source}: its tokenizer does not load ({str(error).splitlines()[0]})") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ScorecraftError(f"{source}: its tokenizer is a {type(tokenizer).__name__}; expected a tokenizer.json")
    return tokenizer
