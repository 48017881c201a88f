"""Where the steps and turns of a text are, in characters and in tokens."""

from scorecraft.segmentation.delimiters import by_blank_line, by_delimiter, by_line
from scorecraft.segmentation.messages import by_message
from scorecraft.segmentation.segment import SEGMENTERS, segment
from scorecraft.segmentation.sentences import by_sentence
from scorecraft.segmentation.spans import Span
from scorecraft.segmentation.step_tokens import character_spans, steps_of_tokens, token_ranges
from scorecraft.segmentation.tags import Tag, by_tag, find_tags
from scorecraft.segmentation.token_spans import token_spans
from scorecraft.segmentation.tool_calls import by_tool_call

__all__ = [
    "SEGMENTERS",
    "Span",
    "Tag",
    "by_blank_line",
    "by_delimiter",
    "by_line",
    "by_message",
    "by_sentence",
    "by_tag",
    "by_tool_call",
    "character_spans",
    "find_tags",
    "segment",
    "steps_of_tokens",
    "token_ranges",
    "token_spans",
]
