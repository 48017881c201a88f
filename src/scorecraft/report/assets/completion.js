// The completion, token by token, coloured by what each token earned.

const COLOURS = {
  advantage: { title: "Advantage", diverging: true },
  returns: { title: "Credit (return)", diverging: true },
  logprobs: { title: "Log-probability", diverging: false },
  entropies: { title: "Entropy", diverging: false },
};
const SYMBOLS = { correct: "✓", wrong: "✗", redundant: "↻", "off-topic": "∅" };

class Completion {
  constructor() {
    this.choice = null;
    this.cursor = -1;
    this.select = el("select", { change: () => { this.choice = this.select.value; this.paint(); } });
    this.legend = el("div", { class: "legend" });
    this.box = el("div", {
      class: "completion", tabindex: "0", role: "group", "aria-label": "Completion, token by token; arrow keys move",
      pointerover: (event) => this.point(event.target),
      pointerdown: (event) => this.point(event.target),
      pointerleave: () => this.point(null),
      keydown: (event) => this.key(event),
      blur: () => this.point(null),
    });
    this.element = el("div", {}, el("div", { class: "paint" }, labelled("Colour by", this.select), this.legend), this.box);
    // A tip that stays behind while its token scrolls away would point at nothing.
    addEventListener("scroll", () => this.point(null), { passive: true, capture: true });
  }

  show(set, tokens, labels) {
    this.scale = set.packed.scale;
    this.tokens = tokens;
    this.cursor = -1;
    const names = Object.keys(COLOURS).filter((name) => set.packed.planes.includes(name));
    options(this.select, names.map((name) => [name, COLOURS[name].title]));
    if (!names.includes(this.choice)) [this.choice] = names;
    this.select.value = this.choice;
    this.spans = tokens.map((token, index) => el("span", { class: `token ${token.sampled ? "" : "forced"}`, "data-index": index },
      token.text.includes("\n") ? el("i", { class: "return", "aria-hidden": "true" }, "↵") : null, token.text));
    this.box.replaceChildren(...this.withLabels(labels || []));
    if (!tokens.length) this.box.append(el("span", { class: "none" }, "(empty completion)"));
    this.paint();
  }

  // A step's label stands behind the last token of the step, before its line break.
  withLabels(labels) {
    const nodes = [];
    const badges = new Map();
    this.tokens.forEach((token, index) => {
      const ends = token.step >= 0 && this.tokens[index + 1]?.step !== token.step;
      if (ends && labels[token.step]) {
        const breaks = token.text.trim() === "" && index > 0 && this.tokens[index - 1].step === token.step;
        badges.set(breaks ? index - 1 : index, labels[token.step]);
      }
    });
    this.spans.forEach((span, index) => {
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
    const { diverging } = COLOURS[this.choice] ?? {};
    const full = this.scale[this.choice];
    this.spans.forEach((span, index) => {
      const token = this.tokens[index];
      const value = token.sampled ? token[this.choice] ?? 0 : 0;
      const tone = diverging ? (value < 0 ? "less" : "more") : "rare";
      span.style.setProperty("--tone", `var(--${tone})`);
      span.style.setProperty("--share", `${Math.min(1, Math.abs(value) / full) * 62}%`);
    });
    this.legend.replaceChildren();
    if (!this.choice) return;
    const marks = diverging ? [-full, 0, full] : this.choice === "logprobs" ? [0, -full] : [0, full];
    this.legend.append(el("span", { class: `ramp ${diverging ? "diverging" : "rising"}` }),
      el("span", { class: "marks" }, marks.map((value) => el("span", {}, formatNumber(value)))));
    this.legend.setAttribute("aria-label", `Colours from ${marks.map(formatNumber).join(" to ")}`);
    this.legend.setAttribute("role", "img");
  }

  key(event) {
    const moves = { ArrowLeft: this.cursor - 1, ArrowRight: this.cursor + 1, Home: 0, End: this.tokens.length - 1 };
    if (event.key === "Escape") this.point(null);
    if (!(event.key in moves) || !this.tokens.length) return;
    event.preventDefault();
    this.cursor = Math.min(this.tokens.length - 1, Math.max(0, moves[event.key]));
    this.spans[this.cursor].scrollIntoView({ block: "nearest" });
    this.point(this.spans[this.cursor]);
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
    if (token.step >= 0) facts.push(["Step of reasoning", String(token.step + 1)]);
    return facts;
  }

  point(node) {
    const tip = byId("tip");
    const span = node?.closest?.(".token");
    this.box.querySelector(".token.here")?.classList.remove("here");
    tip.hidden = !span;
    if (!span) return;
    span.classList.add("here");
    this.cursor = Number(span.dataset.index);
    tip.replaceChildren(el("dl", {}, this.facts(this.cursor).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
    const box = span.getClientRects()[0] ?? span.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${above > 8 ? above : box.bottom + 8}px`);
  }
}
