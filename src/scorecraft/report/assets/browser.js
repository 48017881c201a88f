// The list of rollouts: filters, a list that draws only the rows in view, and the keyboard.

const ROW = 58;

class Browser {
  constructor(report, packed) {
    this.report = report;
    this.sets = packed.map((one) => (one ? new RolloutSet(one) : null));
    this.rows = [];
    this.at = -1;
    this.detail = new Detail(report, (row) => this.openRow(row), (by) => this.move(by));
    this.count = el("p", { class: "count", role: "status" });
    this.inner = el("div", { class: "inner" });
    this.list = el("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": "Rollouts", scroll: () => this.draw(),
      keydown: (event) => this.listKey(event), click: (event) => this.clicked(event) }, this.inner);
    this.element = el("div", {}, this.filters(),
      el("div", { class: "panes" }, el("div", { class: "side" }, this.count, this.list), this.detail.element));
    new ResizeObserver(() => this.draw()).observe(this.list);
    document.addEventListener("keydown", (event) => this.pageKey(event));
  }

  filters() {
    const refresh = () => this.refresh();
    const number = (label) => el("input", { type: "number", step: "any", inputmode: "decimal", "aria-label": label, placeholder: label.split(" ")[0], input: refresh });
    this.run = options(el("select", { change: () => this.useRun(Number(this.run.value)) }),
      this.report.runs.map((run, index) => [index, run.name]).filter(([index]) => this.sets[index]));
    this.step = el("select", { change: refresh });
    this.low = number("min reward");
    this.high = number("max reward");
    this.verdict = options(el("select", { change: refresh }),
      [["any", "any"], ["correct", "correct"], ["wrong", "wrong"], ["unchecked", "not checked"], ["truncated", "truncated"]]);
    this.signal = el("select", { change: refresh });
    this.order = options(el("select", { change: refresh }), Object.keys(ORDERS).map((name) => [name, name]));
    // "search" comes where the browser itself clears the field, which some do without "input".
    this.search = el("input", { type: "search", placeholder: "text in prompt or completion", search: refresh, input: () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(refresh, 120);
    } });
    return el("form", { class: "filters", role: "search", submit: (event) => event.preventDefault() },
      this.run.options.length > 1 ? labelled("Run", this.run) : null,
      labelled("Step", this.step), labelled("Answer", this.verdict),
      el("div", { class: "field", role: "group", "aria-label": "Reward between" }, el("span", {}, "Reward"), el("span", { class: "range" }, this.low, "–", this.high)),
      labelled("Signal", this.signal), labelled("Order", this.order), labelled("Search", this.search, "grow"));
  }

  async useRun(index) {
    this.index = index;
    this.set = await this.sets[index].load();
    options(this.step, [["", "all"], ...this.set.steps.map((step) => [step, step])]);
    options(this.signal, [["", "any"], ["some", "an advantage"], ["none", "no advantage"],
      ...this.set.reasons.map((reason) => [reason, `none: ${reasonTitle(this.report, reason).toLowerCase()}`])]);
    this.signal.parentElement.hidden = !this.set.reasons.length;
    this.refresh();
  }

  refresh(keep = null) {
    const value = (input) => (input.value === "" ? null : Number(input.value));
    this.rows = selectRows(this.set, {
      step: value(this.step), low: value(this.low), high: value(this.high),
      verdict: this.verdict.value, signal: this.signal.value || null, text: this.search.value, order: this.order.value,
    });
    const left = this.set.packed.saved - this.set.count;
    this.count.replaceChildren(`${formatCount(this.rows.length)} of ${formatCount(this.set.count)} rollouts`,
      left ? el("span", { title: "The Parquet files of the run hold all of them." }, ` (${formatCount(left)} more only in the run’s files)`) : "");
    this.inner.style.setProperty("height", `${Math.max(1, this.rows.length) * ROW}px`);
    this.list.scrollTop = 0;
    this.at = -1;
    if (this.rows.length) this.go(keep === null ? 0 : Math.max(0, this.rows.indexOf(keep)));
    else this.detail.clear();
    this.draw();
  }

  draw() {
    if (!this.set) return;
    if (!this.rows.length) {
      this.inner.replaceChildren(el("p", { class: "note" }, "No rollout matches. ", el("button", { type: "button", class: "quiet", click: () => this.reset() }, "Clear the filters")));
      return;
    }
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 4);
    const last = Math.min(this.rows.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + 4);
    const nodes = [];
    for (let position = first; position < last; position += 1) nodes.push(this.item(position));
    this.inner.replaceChildren(...nodes);
    this.list.setAttribute("aria-activedescendant", this.at >= first && this.at < last ? `rollout-${this.at}` : "");
  }

  item(position) {
    const row = this.rows[position];
    const chosen = position === this.at;
    const mark = this.set.get("correct", row);
    const reason = this.set.get("reason", row);
    const node = el("div", { class: `item ${chosen ? "chosen" : ""}`, id: `rollout-${position}`, role: "option", "data-position": position,
      "aria-selected": String(chosen), "aria-setsize": this.rows.length, "aria-posinset": position + 1 },
    el("span", { class: "preview" }, this.set.get("text", row).slice(0, 160).replaceAll("\n", " ↵ ") || "(empty)"),
    el("span", { class: "about" },
      el("span", { class: mark === true ? "good" : mark === false ? "bad" : "odd" }, { true: "✓", false: "✗" }[mark] ?? "·", el("span", { class: "unseen" }, ` ${verdictText(this.set, row)} `)),
      el("b", {}, formatNumber(this.set.get("reward", row))),
      el("span", {}, `step ${this.set.get("training_step", row)}`),
      el("span", {}, `${this.set.get("length", row)} tokens`),
      reason ? el("span", { class: "idle", title: `no advantage: ${reasonWords(this.report, reason)}` }, reasonTitle(this.report, reason).toLowerCase()) : null));
    node.style.setProperty("top", `${position * ROW}px`);
    return node;
  }

  go(position) {
    if (!this.rows.length) return;
    this.at = Math.min(this.rows.length - 1, Math.max(0, position));
    const top = this.at * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW - this.list.clientHeight;
    this.draw();
    this.detail.show(this.set, this.rows[this.at]);
  }

  move(by) {
    this.go(this.at + by);
  }

  // Open a rollout even where the filters hide it.
  openRow(row) {
    const position = this.rows.indexOf(row);
    if (position >= 0) {
      this.go(position);
      return;
    }
    this.at = -1;
    this.draw();
    this.detail.show(this.set, row);
  }

  clicked(event) {
    const item = event.target.closest(".item");
    if (!item) return;
    this.go(Number(item.dataset.position));
    // On a narrow screen the detail stands below the list.
    if (matchMedia("(max-width: 820px)").matches) this.detail.element.scrollIntoView({ block: "start" });
  }

  listKey(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const moves = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page, Home: 0, End: this.rows.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.go(moves[event.key]);
  }

  pageKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.set) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") this.move(1);
    else if (event.key === "k") this.move(-1);
    else if (event.key === "/") this.search.focus();
    else return;
    event.preventDefault();
  }

  reset() {
    for (const input of [this.step, this.low, this.high, this.signal, this.search]) input.value = "";
    this.verdict.value = "any";
    this.order.selectedIndex = 0;
    this.refresh();
  }

  // Show the rollouts of the saved step nearest to the one picked on a chart.
  showStep(step) {
    if (!this.set) return;
    const { steps } = this.set;
    this.step.value = steps[nearestIndex(steps, step)];
    this.refresh();
    byId("rollouts").scrollIntoView({ block: "start" });
  }
}

function reasonTitle(report, reason) {
  return report.words[reason]?.title ?? reason;
}

function reasonWords(report, reason) {
  return report.words[reason]?.because ?? reason;
}

async function drawBrowser(report, packed) {
  const place = byId("browser");
  const first = packed.findIndex(Boolean);
  if (first < 0) {
    place.append(el("p", { class: "note" }, "This run has saved no rollouts."));
    return null;
  }
  if (typeof DecompressionStream === "undefined") {
    place.append(el("p", { class: "note" }, "This browser cannot unpack the rollouts; any from 2023 on can."));
    return null;
  }
  const browser = new Browser(report, packed);
  place.append(browser.element);
  browser.run.value = first;
  await browser.useRun(first);
  return browser;
}
