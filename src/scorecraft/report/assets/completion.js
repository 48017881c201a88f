// The completion, token by token, coloured by what each token earned.

const COLOURS = {
  advantage: { title: "Advantage", diverging: true },
  returns: { title: "Credit (return)", diverging: true },
  logprobs: { title: "Log-probability", diverging: false },
  entropies: { title: "Entropy", diverging: false },
};
const CREDIT = "credit/";
const SYMBOLS = { correct: "✓", wrong: "✗", redundant: "↻", "off-topic": "∅" };

// What a plane of numbers is called, and whether it has two signs.
function colouring(name) {
  return COLOURS[name] ?? { title: `Credit: ${name.slice(CREDIT.length)}`, diverging: true };
}

// One copy of the completion's tokens, painted by one number.
class Painted {
  constructor(owner, label) {
    this.spans = [];
    this.box = el("div", {
      class: "completion", tabindex: "0", role: "group", "aria-label": `${label}; arrow keys move`,
      pointerover: (event) => owner.point(event.target),
      pointerdown: (event) => owner.point(event.target),
      pointerleave: () => owner.point(null),
      keydown: (event) => owner.key(event, this),
      blur: () => owner.point(null),
    });
  }

  fill(tokens, arrange) {
    this.spans = tokens.map((token, index) => el("span", { class: `token ${token.sampled ? "" : "forced"}`, "data-index": index },
      token.text.includes("\n") ? el("i", { class: "return", "aria-hidden": "true" }, "↵") : null, token.text));
    this.box.replaceChildren(...arrange(this.spans));
    if (!tokens.length) this.box.append(el("span", { class: "none" }, "(empty completion)"));
  }

  clear() {
    this.spans = [];
    this.box.replaceChildren();
  }

  paint(tokens, value, full, diverging) {
    this.spans.forEach((span, index) => {
      const number = tokens[index].sampled ? value(tokens[index]) : 0;
      const tone = diverging ? (number < 0 ? "less" : "more") : "rare";
      span.style.setProperty("--tone", `var(--${tone})`);
      span.style.setProperty("--share", `${Math.min(1, Math.abs(number) / full) * 62}%`);
    });
  }
}

class Completion {
  constructor() {
    this.choice = null;
    this.against = "";
    this.cursor = -1;
    this.select = el("select", { change: () => { this.choice = this.select.value; this.paint(); } });
    this.other = el("select", { change: () => { this.against = this.other.value; this.paint(); } });
    this.otherField = labelled("Beside it", this.other);
    this.legend = el("div", { class: "legend" });
    this.main = new Painted(this, "Completion, token by token");
    this.second = new Painted(this, "The same by the other number");
    this.difference = new Painted(this, "The difference of the two");
    this.titles = [el("h5", {}), el("h5", {}), el("h5", {})];
    this.sides = [this.main, this.second, this.difference].map((painted, index) => el("div", { class: "side-by-side" }, this.titles[index], painted.box));
    this.element = el("div", {}, el("div", { class: "paint" }, labelled("Colour by", this.select), this.otherField, this.legend),
      el("div", { class: "painted" }, this.sides));
    // A tip that stays behind while its token scrolls away would point at nothing.
    // One that the arrow keys moved scrolls its token into view itself.
    this.moved = -Infinity;
    addEventListener("scroll", () => { if (performance.now() - this.moved > 200) this.point(null); }, { passive: true, capture: true });
  }

  show(set, tokens, labels) {
    this.scale = set.packed.scale;
    this.tokens = tokens;
    this.cursor = -1;
    const credits = set.packed.planes.filter((name) => name.startsWith(CREDIT));
    // What was trained on comes first in a run; where methods are compared, they do.
    const own = Object.keys(COLOURS).filter((name) => set.packed.planes.includes(name));
    const names = [...credits, ...own];
    options(this.select, names.map((name) => [name, colouring(name).title]));
    if (!names.includes(this.choice)) [this.choice] = names;
    this.select.value = this.choice;
    const signed = names.filter((name) => colouring(name).diverging);
    options(this.other, [["", "nothing"], ...signed.map((name) => [name, colouring(name).title])]);
    if (!signed.includes(this.against)) this.against = credits.length > 1 ? credits[1] : "";
    this.other.value = this.against;
    this.otherField.hidden = signed.length < 2;
    this.labels = labels || [];
    this.second.clear();
    this.difference.clear();
    this.fill(this.main);
    this.paint();
  }

  fill(painted) {
    painted.fill(this.tokens, (spans) => this.withLabels(spans, this.labels));
  }

  // A step's label stands behind the last token of the step, before its line break.
  withLabels(spans, labels) {
    const nodes = [];
    const badges = new Map();
    this.tokens.forEach((token, index) => {
      const ends = token.step >= 0 && this.tokens[index + 1]?.step !== token.step;
      if (ends && labels[token.step]) {
        const breaks = token.text.trim() === "" && index > 0 && this.tokens[index - 1].step === token.step;
        badges.set(breaks ? index - 1 : index, labels[token.step]);
      }
    });
    spans.forEach((span, index) => {
      nodes.push(span);
      const label = badges.get(index);
      if (label) {
        nodes.push(el("span", { class: `badge ${label === "correct" ? "good" : label === "wrong" ? "bad" : "odd"}`, title: `step: ${label}` },
          `${SYMBOLS[label] ?? "·"}${label === "correct" ? "" : ` ${label}`}`, el("span", { class: "unseen" }, ` step ${label} `)));
      }
    });
    return nodes;
  }

  paint() {
    if (!this.choice) return;
    const { diverging } = colouring(this.choice);
    const full = this.scale[this.choice];
    const two = diverging && this.against && this.against !== this.choice;
    this.main.paint(this.tokens, (token) => token[this.choice] ?? 0, full, diverging);
    for (const painted of [this.second, this.difference]) {
      if (!two) painted.clear();
      else if (!painted.spans.length) this.fill(painted);
    }
    if (two) {
      this.second.paint(this.tokens, (token) => token[this.against] ?? 0, this.scale[this.against], true);
      this.difference.paint(this.tokens, (token) => this.apart(token), Math.max(full, this.scale[this.against]), true);
      const [one, other] = [colouring(this.choice).title, colouring(this.against).title];
      [one, other, `Difference: ${one} less ${other}`].forEach((title, index) => this.titles[index].replaceChildren(title));
    }
    this.sides.forEach((side, index) => { side.hidden = index > 0 && !two; });
    this.titles[0].hidden = !two;
    this.legend.replaceChildren();
    const marks = diverging ? [-full, 0, full] : this.choice === "logprobs" ? [0, -full] : [0, full];
    this.legend.append(el("span", { class: `ramp ${diverging ? "diverging" : "rising"}` }),
      el("span", { class: "marks" }, marks.map((value) => el("span", {}, formatNumber(value)))));
    this.legend.setAttribute("aria-label", `Colours from ${marks.map(formatNumber).join(" to ")}`);
    this.legend.setAttribute("role", "img");
  }

  apart(token) {
    return (token[this.choice] ?? 0) - (token[this.against] ?? 0);
  }

  key(event, painted) {
    const moves = { ArrowLeft: this.cursor - 1, ArrowRight: this.cursor + 1, Home: 0, End: this.tokens.length - 1 };
    if (event.key === "Escape") this.point(null);
    if (!(event.key in moves) || !this.tokens.length) return;
    event.preventDefault();
    this.cursor = Math.min(this.tokens.length - 1, Math.max(0, moves[event.key]));
    this.moved = performance.now();
    painted.spans[this.cursor].scrollIntoView({ block: "nearest" });
    this.point(painted.spans[this.cursor]);
    byId("announce").textContent = this.facts(this.cursor).map((fact) => fact.join(" ")).join(", ");
  }

  facts(index) {
    const token = this.tokens[index];
    const facts = [["Token", `${visible(token.text)}  (${index + 1} of ${this.tokens.length})`]];
    if (!token.sampled) return [...facts, ["Forced", "not sampled by the policy"]];
    if ("logprobs" in token) {
      facts.push(["Log-probability", formatNumber(token.logprobs)], ["Probability", formatShare(Math.exp(token.logprobs))]);
    }
    if ("entropies" in token) facts.push(["Entropy", `${formatNumber(token.entropies)} nats`]);
    if ("advantage" in token) facts.push(["Advantage", formatNumber(token.advantage)]);
    if ("returns" in token) facts.push(["Credit (return)", formatNumber(token.returns)]);
    for (const name of Object.keys(token)) {
      if (name.startsWith(CREDIT)) facts.push([colouring(name).title, formatNumber(token[name])]);
    }
    if (this.against && this.against !== this.choice && colouring(this.choice).diverging) facts.push(["Difference", formatNumber(this.apart(token))]);
    if (token.step >= 0) facts.push(["Step of reasoning", String(token.step + 1)]);
    return facts;
  }

  point(node) {
    const tip = byId("tip");
    const span = node?.closest?.(".token");
    for (const here of this.element.querySelectorAll(".token.here")) here.classList.remove("here");
    tip.hidden = !span;
    if (!span) return;
    this.cursor = Number(span.dataset.index);
    for (const painted of [this.main, this.second, this.difference]) painted.spans[this.cursor]?.classList.add("here");
    tip.replaceChildren(el("dl", {}, this.facts(this.cursor).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
    const box = span.getClientRects()[0] ?? span.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${above > 8 ? above : box.bottom + 8}px`);
  }
}
