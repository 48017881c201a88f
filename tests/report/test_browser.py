"""The page in a real browser: curves, filters, keyboard, and nothing a model wrote ever becoming markup."""

from __future__ import annotations

import re

import pytest

from scorecraft.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytestmark = pytest.mark.browser
ATTACK = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script></script><b>&amp;"


def count(page):
    return page.locator(".count").inner_text()


def points(page, selector):
    return [
        len(re.findall("[ML]", d)) for d in page.locator(selector).evaluate_all("n => n.map(e => e.getAttribute('d'))")
    ]


def row_of(page):
    return page.locator(".item.chosen .preview").inner_text()


def search(page, text, expected):
    page.fill("input[type=search]", text)
    expect(page.locator(".count")).to_have_text(f"{expected} rollouts")


@pytest.fixture
def small_run(make_run, rollouts_of):
    """Two steps with three rollouts each, all of whose numbers are known."""
    store = make_run()
    texts = ["1+1=2\n# 2", "1+1=3\n# 3", "# 2"]
    rollouts = rollouts_of(texts, [("What is 1 + 1?", "2")], [0, 0, 0], forced=1)
    for step, rewards in ((1, [1.0, 0.0, 0.5]), (5, [1.0, None, 0.25])):
        store.append_metrics({"step": step, "reward": step / 10, "accuracy": 0.5, "kl": float("nan")})
        store.save_rollouts(
            step,
            rollouts,
            {
                "reward": rewards,
                "reward/correct": rewards,
                "correct": [True, False, None],
                "advantage": [[1.0] * 9, [-1.0] * 9, [0.0] * 3],
                "returns": [[reward or 0.0] * len(text) for reward, text in zip(rewards, texts, strict=True)],
                "step_labels": [["correct", "redundant"], ["wrong", "correct"], []],
            },
        )
    store.append_evaluation({"step": 5, "accuracy": 0.61, "accuracy_low": 0.57, "accuracy_high": 0.65})
    ids, characters = rollouts.tokens[0].tolist(), texts[0]
    store.save_token_texts(dict(zip(ids, characters, strict=True)) | {rollouts.tokens[1, 4].item(): "3"})
    return store


def test_curves_are_drawn_and_follow_the_keyboard(filled, open_page):
    page = open_page(write_report([filled(steps=40).directory]))
    main = ".chart.wide path.curve:not(.interval)"
    assert points(page, main) == [40, 40, 40, 40]
    assert page.locator(".chart.wide path.interval").count() == 5
    assert page.locator(".chart.wide path.gap").count() == 1
    page.uncheck("#smooth")
    assert points(page, main) == [40, 40]
    assert page.locator("#charts .chart").count() == 4 + 2 + 13
    assert page.locator(".chart", has_text="no values").count() == 0


def test_hovering_shows_the_values_of_a_step_in_every_chart(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    plot = page.locator(".chart.wide .plot")
    assert plot.get_attribute("aria-valuetext") == "step 5: Reward 0.50, Accuracy 0.50, Held-out 0.61"
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 100)
    assert plot.get_attribute("aria-valuetext") == "step 1: Reward 0.10, Accuracy 0.50, Held-out \u2013"
    assert "step 1" in plot.text_content()
    assert page.locator(".chart.wide .readout").inner_text().split() == [
        "Reward", "0.10", "Accuracy", "0.50", "Held-out", "\u2013", "Gap", "\u22120.40",
    ]  # fmt: skip
    page.mouse.move(5, 5)
    plot.focus()
    page.keyboard.press("End")
    assert "0.61 [0.57, 0.65]" in page.locator(".chart.wide .readout").inner_text()
    page.keyboard.press("ArrowLeft")
    assert plot.get_attribute("aria-valuenow") == "1"
    # A picked step becomes the filter of the rollouts.
    page.keyboard.press("Enter")
    assert count(page) == "3 of 6 rollouts"


def test_each_filter_keeps_what_it_says(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    assert count(page) == "6 of 6 rollouts"
    page.get_by_label("Step", exact=True).select_option("5")
    assert count(page) == "3 of 6 rollouts"
    page.fill("[aria-label='min reward']", "0.25")
    assert count(page) == "2 of 6 rollouts"
    page.fill("[aria-label='max reward']", "0.5")
    assert count(page) == "1 of 6 rollouts"
    for label in ("min reward", "max reward"):
        page.fill(f"[aria-label='{label}']", "")
    page.get_by_label("Step", exact=True).select_option("")
    for verdict, expected in (("correct", 2), ("wrong", 2), ("unchecked", 2), ("truncated", 0), ("any", 6)):
        page.get_by_label("Answer", exact=True).select_option(verdict)
        assert count(page) == f"{expected} of 6 rollouts"
    search(page, "1+1=", "4 of 6")
    search(page, "WHAT IS", "6 of 6")
    search(page, "nowhere", "0 of 6")
    assert page.locator(".detail .note").is_visible()
    page.get_by_role("button", name="Clear the filters").click()
    assert count(page) == "6 of 6 rollouts"
    page.get_by_label("Order", exact=True).select_option("lowest reward")
    assert page.locator(".item b").all_inner_texts() == ["0", "0.25", "0.50", "1.00", "1.00", "\u2013"]


def test_the_keyboard_walks_through_rollouts_and_tokens(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    assert row_of(page) == "1+1=2 ↵ # 2"
    page.keyboard.press("j")
    assert row_of(page) == "1+1=3 ↵ # 3"
    expect(page.locator(".big")).to_have_text("Reward 0")
    page.keyboard.press("k")
    page.keyboard.press("k")
    assert row_of(page) == "1+1=2 ↵ # 2"
    page.locator(".list").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator(".list").get_attribute("aria-activedescendant") == "rollout-2"
    page.keyboard.press("End")
    assert page.locator("#rollout-5").get_attribute("aria-selected") == "true"
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.input_value("input[type=search]") == "jk"
    expect(page.locator(".count")).to_have_text("0 of 6 rollouts")
    page.keyboard.press("Escape")
    expect(page.locator(".count")).to_have_text("6 of 6 rollouts")
    expect(page.locator(".token")).to_have_count(9)
    page.locator(".completion").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_contain_text("not sampled by the policy")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip dd").nth(0)).to_have_text("+ (2 of 9)")
    assert page.locator("#tip").get_by_text("Advantage").count() == 1
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_a_rollout_is_shown_token_by_token(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    tokens = page.locator(".token")
    assert "".join(tokens.evaluate_all("n => n.map(e => e.lastChild.textContent)")) == "1+1=2\n# 2"
    assert page.locator(".token.forced").all_inner_texts() == ["1"]
    share = "e => [e.style.getPropertyValue('--tone'), e.style.getPropertyValue('--share')]"
    assert tokens.nth(0).evaluate(share) == ["var(--more)", "0%"]
    assert tokens.nth(1).evaluate(share) == ["var(--more)", "62%"]
    assert page.locator(".badge").evaluate_all("n => n.map(e => e.title)") == ["step: correct", "step: redundant"]
    assert page.locator(".marks").inner_text().split() == ["\u22121.00", "0", "1.00"]
    assert page.locator(".pairs.sum").inner_text().split() == ["correct", "1.00", "Total", "1.00"]
    page.get_by_label("Next rollout").click()
    expect(tokens.nth(1)).to_have_attribute("style", "--tone: var(--less); --share: 62%;")
    coloured, plain = (tokens.nth(index).evaluate("e => getComputedStyle(e).backgroundColor") for index in (1, 0))
    assert coloured != plain
    page.get_by_label("Colour by").select_option("entropies")
    assert tokens.nth(1).evaluate(share)[0] == "var(--rare)"
    page.get_by_role("button", name="Completion 3").click()
    expect(page.locator(".token")).to_have_count(3)
    assert row_of(page) == "# 2"


def test_two_credit_methods_stand_side_by_side_with_their_difference(make_run, rollouts_of, open_page):
    store = make_run()
    rollouts = rollouts_of(["ab"], [("q", "a")], [0])
    store.save_rollouts(
        1, rollouts, {"reward": [1.0], "correct": [True], "credit/outcome": [[1.0, 1.0]], "credit/steps": [[1.0, -0.5]]}
    )
    store.save_token_texts(dict(zip(rollouts.tokens[0].tolist(), "ab", strict=True)))
    page = open_page(write_report([store.directory]))
    share = "n => n.map(e => [e.style.getPropertyValue('--tone'), e.style.getPropertyValue('--share')])"
    boxes = page.locator(".completion")
    expect(boxes).to_have_count(3)
    full, half = ["var(--more)", "62%"], ["var(--less)", "31%"]
    assert boxes.nth(0).locator(".token").evaluate_all(share) == [full, full]
    assert boxes.nth(1).locator(".token").evaluate_all(share) == [full, half]
    # 1 - 1 = 0 and 1 - (-0.5) = 1.5, more than the scale of 1 shows.
    assert boxes.nth(2).locator(".token").evaluate_all(share) == [["var(--more)", "0%"], full]
    boxes.nth(0).focus()
    page.keyboard.press("End")
    expect(page.locator("#tip")).to_contain_text("Difference")
    expect(page.locator(".token.here")).to_have_count(3)
    page.get_by_label("Beside it").select_option("")
    expect(page.locator(".token")).to_have_count(2)
    page.get_by_label("Beside it").select_option("credit/outcome")
    page.get_by_label("Colour by").select_option("credit/steps")
    assert boxes.nth(2).locator(".token").evaluate_all(share) == [["var(--more)", "0%"], ["var(--less)", "62%"]]


def test_an_abstaining_reward_is_named(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    page.locator(".list").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".big")).to_have_text("no reward")
    assert page.locator(".pairs.sum").inner_text().split() == ["correct", "abstained", "Total", "\u2013"]


def test_only_the_rows_in_view_are_in_the_page(filled, open_page):
    page = open_page(write_report([filled(steps=20, every=1, prompts=10, group_size=10).directory]))
    assert count(page) == "2,000 of 2,000 rollouts"
    assert page.locator(".item").count() < 40
    page.locator(".list").evaluate("e => { e.scrollTop = e.scrollHeight }")
    page.wait_for_selector("#rollout-1999")
    assert page.locator(".item").count() < 40


def test_nothing_a_model_or_a_file_wrote_becomes_markup(make_run, rollouts_of, open_page):
    store = make_run("<img src=x onerror=window.pwned=1>", recipe=f"policy: '{ATTACK}'\ntask: {{'{ATTACK}': {{}}}}\n")
    store.append_metrics({"step": 1, "reward": 0.5, f"reward/{ATTACK}": 1.0, ATTACK: 1.0, f"zero/{ATTACK}": 0.5,
                          f"outcomes/{ATTACK}/{ATTACK}": 1.0})  # fmt: skip
    store.append_evaluation({"step": 1, "accuracy": 0.5, f"pass@{ATTACK}": 0.5})
    rollouts = rollouts_of([ATTACK, "b"], [(ATTACK, ATTACK)], [0, 0])
    store.save_rollouts(
        1,
        rollouts,
        {"reward": [1.0, 0.0], "correct": [False, True], f"reward/{ATTACK}": [1.0, 0.0], "step_labels": [[ATTACK], []]},
    )
    store.save_token_texts(dict.fromkeys(rollouts.tokens.unique().tolist(), ATTACK))
    page = open_page(write_report([store.directory]))
    page.locator(".token").first.hover()
    assert page.locator("#tip").inner_text().count(ATTACK.replace(" ", "␣")) == 1
    assert page.locator(".preview").first.inner_text() == ATTACK
    assert ATTACK in page.locator(".prose").first.inner_text()
    assert page.locator("h1").inner_text() == "<img src=x onerror=window.pwned=1>"
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.querySelectorAll('img, b:not(.about b, .value b)').length") == 0
    assert page.evaluate("document.scripts.length") == 3


def test_the_policy_of_the_page_stops_foreign_scripts(small_run, open_page):
    page = open_page(write_report([small_run.directory]))
    blocked = page.evaluate(
        """() => new Promise((done) => {
            document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
            const script = document.createElement("script");
            script.textContent = "window.pwned = 1";
            document.body.append(script);
        })"""
    )
    assert blocked.startswith("script-src")
    assert len(open_page.complaints) == 1
    assert "Content Security Policy" in open_page.complaints.pop()
    assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize("steps", [0, 1])
def test_runs_with_next_to_nothing_give_a_sensible_page(make_run, open_page, steps):
    store = make_run()
    for step in range(1, steps + 1):
        store.append_metrics({"step": step, "reward": 0.25, "accuracy": None, "kl": float("nan"), "length": 12})
    page = open_page(write_report([store.directory]))
    assert "saved no rollouts" in page.locator("#browser").inner_text()
    if steps:
        assert page.locator(".chart.wide circle.dot").count() == 1
        assert page.locator(".verdict").inner_text() == "Reward 0.25."
    else:
        assert "No step has been logged yet" in page.locator("#charts").inner_text()
    assert "policy: tunnel-tiny" in page.locator("#recipes").inner_text()


def test_gaps_in_a_curve_stay_gaps(make_run, open_page):
    store = make_run()
    for step, reward in enumerate([0.1, 0.2, None, 0.4, 0.5], start=1):
        store.append_metrics({"step": step, "reward": reward})
    page = open_page(write_report([store.directory]))
    (path,) = page.locator(".chart.wide path.curve").evaluate_all("n => n.map(e => e.getAttribute('d'))")
    assert re.sub("[^ML]", "", path) == "MLML"


def test_several_runs_are_drawn_over_each_other(filled, open_page):
    stores = [filled("one", steps=8, every=4), filled("two", steps=6, every=3, seed=1)]
    (stores[1].directory / "recipe.yaml").write_text("policy: other\n")
    page = open_page(write_report([store.directory for store in stores]))
    page.uncheck("#smooth") if page.is_checked("#smooth") else None
    assert points(page, ".chart.wide path.curve:not(.interval)") == [8, 8, 6, 6]
    assert page.locator(".chart.wide path.curve.dashed").count() == 2
    page.get_by_label("two", exact=True).uncheck()
    assert points(page, ".chart.wide path.curve:not(.interval)") == [8, 8]
    assert "policy tunnel-tiny other" in " ".join(page.locator(".differences").inner_text().split())
    page.get_by_label("Run", exact=True).select_option("1")
    expect(page.locator(".count")).to_have_text("24 of 24 rollouts")


def test_reasons_for_no_gradient_have_their_section(filled, open_page):
    page = open_page(write_report([filled(steps=20).directory]))
    section = page.locator("#diagnosis")
    assert section.locator("h3").all_inner_texts() == ["Same reward", "Truncated", "Clipped"]
    assert "Never seen: reward abstained." in section.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(small_run, open_page, scheme):
    page = open_page(write_report([small_run.directory]), color_scheme=scheme)
    background = "getComputedStyle(document.body).backgroundColor"
    dark, light = "rgb(18, 20, 23)", "rgb(250, 250, 248)"
    assert page.evaluate(background) == (dark if scheme == "dark" else light)
    page.locator("#theme").click()
    assert page.evaluate(background) == (light if scheme == "dark" else dark)


def test_a_phone_shows_the_page_without_scrolling_sideways(filled, open_page):
    page = open_page(write_report([filled(steps=20).directory]), width=390, height=844, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".item").nth(1).tap()
    expect(page.locator(".detail-head")).to_be_in_viewport()
    small = page.locator("button:visible, select:visible, input[type=search]").evaluate_all(
        "n => n.filter(e => e.getBoundingClientRect().height < 28).map(e => e.outerHTML)"
    )
    assert small == []


def test_what_to_cite_is_on_the_page_as_text(make_run, open_page):
    store = make_run()
    (store.directory / "citations.bib").write_text("@misc{a, title = {{" + ATTACK + "}}}", encoding="utf-8")
    page = open_page(write_report([store.directory]))
    expect(page.get_by_label("Citations")).to_have_text("@misc{a, title = {{" + ATTACK + "}}}")
    assert page.evaluate("window.pwned") is None
