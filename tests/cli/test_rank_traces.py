"""`rank-traces` from end to end: the tunnel's own policy, a folder with a small GPT-2, a stop, and what is refused."""

from __future__ import annotations

import json

import pytest
import typer

from scorecraft.cli.rank_traces import rank_traces
from scorecraft.errors import ScorecraftError

app = typer.Typer(rich_markup_mode=None)
app.command()(rank_traces)

STYLES = {
    "plain": lambda a, b: f"{a}+{b}={a + b}\n{a + b}-3={a + b - 3}\n#{a + b - 3}",
    "prose": lambda a, b: f"The answer is {a + b - 3}. #{a + b - 3}",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "traces.jsonl"
    rows = [
        {"prompt": f"{a}+{a % 7 + 1}-3=?\n", "completion": style(a, a % 7 + 1), "teacher": teacher}
        for a in range(3, 9)
        for teacher, style in STYLES.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from scorecraft.lm.tunnel import tunnel_tokenizer

    folder, tokenizer = tmp_path_factory.mktemp("gpt2") / "tiny-gpt2", tunnel_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.3,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_tunnels_policy_ranks_teachers_and_chooses_traces(runner, file, tmp_path):
    best = tmp_path / "best.jsonl"
    said = run(runner, file, "--student", "tunnel-tiny", "--select", best)
    assert said.index("prose") < said.index("plain")
    assert "12 traces of 6 prompts" in said
    assert "token for token" in said
    assert len(best.read_text().splitlines()) == 6
    told = json.loads(run(runner, file, "--student", "tunnel-tiny", "--json"))
    assert [row["teacher"] for row in told["teachers"]] == ["prose", "plain"]
    # The tunnel's own way to write is near to certain, so its surprisal is far lower and its ratio higher.
    by_teacher = {row["teacher"]: row for row in told["teachers"]}
    assert by_teacher["plain"]["average_surprisal"] < 0.5 < by_teacher["prose"]["average_surprisal"]
    assert told["scored"] == 12
    assert told["student"].startswith("tunnel-tiny@")
    assert len(told["warnings"]) == 1


def test_a_gpt2_folder_goes_on_where_it_was(runner, file, tmp_path, gpt2_folder):
    out = tmp_path / "records.jsonl"
    told = json.loads(run(runner, file, "--student", gpt2_folder, "--out", out, "--per-teacher", 2, "--json"))
    assert told["scored"] == 4
    assert [row["traces"] for row in told["teachers"]] == [2, 2]
    first = out.read_text()
    assert len(first.splitlines()) == 4
    told = json.loads(run(runner, file, "--student", gpt2_folder, "--out", out, "--json"))
    assert told["scored"] == 12
    assert out.read_text().startswith(first)
    assert told["student"].startswith("tiny-gpt2@")


def test_rows_without_a_score_and_cut_ones_are_told(runner, file, gpt2_folder):
    with file.open("a") as stream:
        stream.write('{"prompt": "1+1=?", "completion": ""}\n')
        stream.write(json.dumps({"prompt": "1+1=?", "completion": "2" * 100}) + "\n")
    said = run(runner, file, "--student", gpt2_folder)
    assert "1 rows have no score; row 13: no response tokens to score" in said
    assert "1 traces were cut off" in said
    assert file.with_name("traces.rank-surprisal.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chat", "nevr"], "--chat"),
        (["--chat", "always"], "no chat template"),
        (["--response-column", "complete"], "did you mean 'completion'"),
        (["--out", "traces.jsonl"], "the file of traces itself"),
        (["--dtype", "float8"], "unknown dtype"),
    ],
)
def test_what_cannot_be_is_refused(runner, file, gpt2_folder, monkeypatch, arguments, said):
    monkeypatch.chdir(file.parent)
    result = runner.invoke(app, [str(file), "--student", str(gpt2_folder), *arguments])
    assert isinstance(result.exception, ScorecraftError)
    assert said in str(result.exception)
    assert json.loads(file.read_text().splitlines()[0])["teacher"] == "plain"


def test_an_unknown_student_and_file_are_refused(runner, file, tmp_path):
    result = runner.invoke(app, [str(file), "--student", "tunnel-tony"])
    assert "did you mean 'tunnel-tiny'" in str(result.exception)
    result = runner.invoke(app, [str(tmp_path / "none.jsonl"), "--student", "tunnel-tiny"])
    assert "no such file" in str(result.exception)


def test_a_stop_says_how_to_go_on(runner, file, gpt2_folder, monkeypatch):
    from scorecraft.distill import trace_scoring

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(trace_scoring.TraceScorer, "token_scores", stop)
    result = runner.invoke(app, [str(file), "--student", str(gpt2_folder)])
    assert result.exit_code == 130
    assert "goes on where this one was" in result.stderr
