// Everything about one rollout.

class Detail {
  constructor(report, open, move) {
    this.report = report;
    this.open = open;
    this.completion = new Completion();
    this.head = el("div", { class: "detail-head" });
    this.prompt = el("div", {});
    this.rewards = el("div", { class: "tables" });
    this.previous = el("button", { type: "button", class: "quiet", "aria-label": "Previous rollout", click: () => move(-1) }, "↑");
    this.next = el("button", { type: "button", class: "quiet", "aria-label": "Next rollout", click: () => move(1) }, "↓");
    this.body = el("div", {}, this.head, this.prompt, el("h4", {}, "Completion"), this.completion.element, this.rewards);
    this.blank = el("p", { class: "note" }, "Choose a rollout from the list.");
    this.element = el("article", { class: "detail", "aria-label": "Rollout" }, this.blank, this.body);
    this.clear();
  }

  clear() {
    this.body.hidden = true;
    this.blank.hidden = false;
    this.row = null;
    byId("tip").hidden = true;
  }

  async show(set, row) {
    this.row = row;
    const tokens = await set.tokens(row);
    // Another rollout may have been chosen while this one was unpacked.
    if (this.row !== row) return;
    this.blank.hidden = true;
    this.body.hidden = false;
    const group = set.group(row);
    this.drawHead(set, row, group);
    const { prompt, answer, gold } = set.prompt(row);
    this.prompt.replaceChildren(
      el("h4", {}, "Prompt"), el("div", { class: "prose" }, prompt),
      el("p", { class: "answer" }, "True answer ", el("code", {}, answer || "none")),
      gold ? el("details", {}, el("summary", {}, "Worked solution"), el("div", { class: "prose" }, gold)) : "",
    );
    this.completion.show(set, tokens, set.get("step_labels", row));
    this.drawRewards(set, row, tokens, group);
    this.element.scrollTop = 0;
  }

  drawHead(set, row, group) {
    const reward = set.get("reward", row);
    this.head.replaceChildren(
      el("div", {},
        el("p", { class: "where" }, `Step ${set.get("training_step", row)}`, group.length > 1 ? ` · ${group.indexOf(row) + 1} of ${group.length} for this prompt` : ""),
        el("p", { class: "result" }, el("span", { class: "big" }, reward === null || reward === undefined ? "no reward" : `Reward ${formatNumber(reward)}`), verdictPill(set, row),
          set.get("truncated", row) ? el("span", { class: "pill odd" }, "truncated") : null),
        set.get("reason", row) ? el("p", { class: "idle-note" }, `No advantage: ${reasonWords(this.report, set.get("reason", row))}.`) : null),
      el("div", { class: "turn" }, this.previous, this.next),
    );
  }

  drawRewards(set, row, tokens, group) {
    const sampled = tokens.filter((token) => token.sampled);
    const mean = (name) => (sampled.length && name in sampled[0] ? sampled.reduce((sum, token) => sum + token[name], 0) / sampled.length : null);
    const parts = set.parts.map((name) => [name.slice("reward/".length), set.get(name, row)]);
    const numbers = [
      ["Tokens", formatCount(tokens.length)],
      ["Forced", formatCount(tokens.length - sampled.length)],
      ["Mean log-probability", formatNumber(mean("logprobs"))],
      ["Mean entropy", formatNumber(mean("entropies"))],
      ...set.measures.filter((name) => Number.isFinite(set.get(name, row))).map((name) => {
        const [reward, measurement] = name.slice("measure/".length).split(/\/(?=[^/]*$)/);
        return [`${reward}: ${measurement.replaceAll("_", " ")}`, formatNumber(set.get(name, row))];
      }),
    ];
    this.rewards.replaceChildren(
      el("div", {}, el("h4", {}, "Rewards"), pairs([
        ...parts.map(([name, value]) => [name, value === null ? "abstained" : formatNumber(value)]),
        ["Total", formatNumber(set.get("reward", row))]], "sum")),
      el("div", {}, el("h4", {}, "Numbers"), pairs(numbers)),
      group.length > 1 ? this.drawGroup(set, row, group) : "",
    );
  }

  drawGroup(set, row, group) {
    const values = group.map((member) => set.get("reward", member) ?? 0);
    const low = Math.min(0, ...values);
    const span = Math.max(0, ...values) - low || 1;
    const idle = group.map((member) => set.get("reason", member)).filter(Boolean);
    const kinds = [...new Set(idle)].map((reason) => `${idle.filter((one) => one === reason).length} because ${reasonWords(this.report, reason)}`);
    return el("div", { class: "group-of" }, el("h4", {}, "All completions of this prompt"),
      idle.length ? el("p", { class: "help" }, `${idle.length === group.length ? "None of them has" : `${idle.length} of ${group.length} have no`}${idle.length === group.length ? " an" : ""} advantage: ${kinds.join(", ")}.`) : null,
      el("div", { class: "bars" }, group.map((member, index) => {
        const mark = set.get("correct", member);
        const bar = el("button", { type: "button", class: `bar ${mark === true ? "good" : mark === false ? "bad" : ""}`, "aria-current": member === row ? "true" : null,
          "aria-label": `Completion ${index + 1}: reward ${formatNumber(set.get("reward", member))}, ${verdictText(set, member)}`,
          click: () => this.open(member) }, el("i", {}), el("span", {}, formatNumber(set.get("reward", member))));
        bar.style.setProperty("--height", `${4 + (36 * (values[index] - low)) / span}px`);
        return bar;
      })));
  }
}

function verdictText(set, row) {
  const correct = set.get("correct", row);
  return correct === true ? "correct" : correct === false ? "wrong" : "not checked";
}

function verdictPill(set, row) {
  const text = verdictText(set, row);
  const kind = { correct: "good", wrong: "bad" }[text] ?? "odd";
  return el("span", { class: `pill ${kind}` }, `${{ correct: "✓ ", wrong: "✗ " }[text] ?? ""}${text}`);
}

function pairs(rows, last = "") {
  return el("table", { class: `pairs ${last}` }, el("tbody", {}, rows.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))));
}
