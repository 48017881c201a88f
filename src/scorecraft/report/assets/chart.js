// One chart of curves over steps. All charts of a page share the step under the pointer.

const MARGIN = { top: 8, right: 12, bottom: 22, left: 46 };
const SMOOTH_WEIGHT = 0.85;
const SMOOTH_FROM = 30; // fewer points (held-out evaluations) are shown as they are

class Chart {
  // spec: title, help, format, height, gap (shade between the first two curves), curves: list of { label, tone,
  // dashed, points, series (its index), name (of the series), terse (the name is not repeated), x, y, low, high, band }
  constructor(spec, board) {
    this.spec = spec;
    this.board = board;
    this.format = formatter(spec.format);
    this.readout = el("span", { class: "readout" });
    this.canvas = svg("svg", {
      class: "plot", height: spec.height, tabindex: "0", role: "slider", "aria-label": this.summary(),
      pointermove: (event) => board.hover(this.stepAt(event)),
      pointerdown: (event) => board.hover(this.stepAt(event)),
      pointerleave: () => board.hover(null),
      click: (event) => board.pick(this.stepAt(event)),
      keydown: (event) => board.key(event, this),
      blur: () => board.hover(null),
    });
    this.element = el("figure", { class: `chart ${spec.wide ? "wide" : ""}` },
      el("figcaption", {}, el("h3", { title: spec.help || null }, spec.title), this.readout), this.canvas);
    if (spec.wide && spec.help) this.element.append(el("p", { class: "help" }, spec.help));
    this.width = 0;
    this.left = MARGIN.left;
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  shown() {
    return this.spec.curves.filter((curve) => this.board.visible.has(curve.series));
  }

  summary() {
    const parts = this.spec.curves.map((curve) => {
      const values = curve.y.filter((value) => value !== null);
      if (!values.length) return `${curve.label}: no values`;
      return `${curve.label}: from ${this.format(values[0])} to ${this.format(values.at(-1))}`;
    });
    return `${this.spec.title}. ${parts.join("; ")}`;
  }

  stepAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const inside = (event.clientX - box.left - this.left) / (box.width - this.left - MARGIN.right);
    const [low, high] = this.board.range;
    const steps = this.board.steps;
    return steps[nearestIndex(steps, low + inside * (high - low))] ?? null;
  }

  draw(force = false) {
    const width = Math.floor(this.element.clientWidth);
    if (!width || (width === this.width && !force)) return;
    this.width = width;
    const { height } = this.spec;
    this.canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const curves = this.shown();
    const [low, high] = this.board.range;
    const count = height > 200 ? 5 : 3;
    const bounds = curves.flatMap((curve) => [...curve.y, ...(curve.low || []), ...(curve.high || [])]);
    const [bottom, top, tick] = extent(bounds, this.spec.format, count);
    const marks = ticks(bottom, top, tick).map((value) => [value, this.tickText(value, tick)]);
    this.left = Math.max(MARGIN.left, 14 + 6.4 * Math.max(...marks.map(([, text]) => text.length)));
    this.x = (step) => this.left + ((step - low) / (high - low || 1)) * (width - this.left - MARGIN.right);
    this.y = (value) => height - MARGIN.bottom - ((value - bottom) / (top - bottom)) * (height - MARGIN.top - MARGIN.bottom);
    this.rule = svg("g", { class: "rule" });
    this.canvas.replaceChildren(
      this.grid(marks, low === high ? [low] : ticks(low, high, Math.max(1, niceStep(high - low, Math.max(2, Math.floor(width / 90)))))),
      svg("g", {}, this.spec.gap ? this.gapArea(curves) : null, ...curves.flatMap((curve) => this.curve(curve))),
      this.rule,
    );
    if (!curves.some((curve) => curve.y.some((value) => value !== null))) {
      this.canvas.append(svg("text", { class: "none", x: width / 2, y: height / 2 }, "no values"));
    }
    this.mark(this.board.step);
  }

  tickText(value, tick) {
    const share = this.spec.format === "share";
    const digits = Math.max(0, -Math.floor(Math.log10(tick * (share ? 100 : 1)) + 1e-9));
    if (share) return `${signed((100 * value).toFixed(digits))}\u00a0%`;
    return Math.abs(value) >= 1e4 || (value && tick < 1e-3) ? formatNumber(value) : signed(value.toFixed(digits));
  }

  grid(marks, steps) {
    const { height } = this.spec;
    const right = this.width - MARGIN.right;
    return svg("g", { class: "grid", "aria-hidden": "true" },
      marks.map(([value]) => svg("line", { x1: this.left, x2: right, y1: this.y(value), y2: this.y(value) })),
      marks.map(([value, text]) => svg("text", { x: this.left - 8, y: this.y(value) + 4, class: "left" }, text)),
      steps.map((step) =>
        svg("text", { x: this.x(step), y: height - 5, class: "below" }, formatCount(step))));
  }

  path(x, y) {
    let text = "";
    let pen = "M";
    for (let index = 0; index < x.length; index += 1) {
      const value = y[index];
      if (value === null || value === undefined) {
        pen = "M";
      } else {
        text += `${pen}${this.x(x[index]).toFixed(1)} ${this.y(value).toFixed(1)}`;
        pen = "L";
      }
    }
    return text;
  }

  curve(curve) {
    const tone = `curve tone-${curve.tone} ${curve.dashed ? "dashed" : ""}`;
    const known = curve.y.map((value, index) => index).filter((index) => curve.y[index] !== null && curve.y[index] !== undefined);
    if (curve.points || known.length < 2) {
      return known.flatMap((index) => {
        const x = this.x(curve.x[index]);
        const low = curve.low?.[index];
        const high = curve.high?.[index];
        const bar = typeof low === "number" && typeof high === "number";
        return [
          bar ? svg("path", { class: `${tone} interval`, d: `M${x} ${this.y(low)}V${this.y(high)}` }) : null,
          svg("circle", { class: `dot tone-${curve.tone}`, cx: x, cy: this.y(curve.y[index]), r: 3.5 }),
        ];
      });
    }
    const band = curve.band ? this.area(curve.x, this.eased(curve.low), this.eased(curve.high), `band tone-${curve.tone}`) : null;
    const raw = svg("path", { class: tone, d: this.path(curve.x, curve.y) });
    if (!this.board.smooth || curve.y.length < SMOOTH_FROM) return [band, raw];
    raw.classList.add("faint");
    return [band, raw, svg("path", { class: tone, d: this.path(curve.x, smoothed(curve.y, SMOOTH_WEIGHT)) })];
  }

  gapArea(curves) {
    const [upper, lower] = curves;
    if (!lower) return null;
    return this.area(upper.x, this.eased(upper.y), this.eased(lower.y), "gap");
  }

  eased(values) {
    return this.board.smooth && values.length >= SMOOTH_FROM ? smoothed(values, SMOOTH_WEIGHT) : values;
  }

  // What lies between two courses, over the steps where both have a value.
  area(x, above, below, kind) {
    const both = x.map((_, index) => index).filter((index) => typeof above[index] === "number" && typeof below[index] === "number");
    if (both.length < 2) return null;
    const point = (values) => (index) => `${this.x(x[index]).toFixed(1)} ${this.y(values[index]).toFixed(1)}`;
    return svg("path", { class: kind, d: `M${[...both.map(point(above)), ...both.reverse().map(point(below))].join("L")}Z` });
  }

  // Show the values of a step, or the last ones where there is none under the pointer.
  mark(step) {
    const values = this.shown().map((curve) => {
      const index = step === null ? curve.y.findLastIndex((value) => value !== null) : covered(curve.x, step);
      return { curve, index, value: index < 0 ? null : curve.y[index] };
    });
    const many = values.length > 1;
    const groups = this.board.several ? bySeries(values) : values.map((value) => [value]);
    this.readout.replaceChildren(...groups.map((group) => this.reading(group, many)));
    if (this.spec.gap && many && values[0].value !== null && values[1].value !== null) {
      this.readout.append(el("span", { class: "value" }, el("i", { class: "swatch area" }), el("span", { class: "name" }, "Gap"),
        el("b", {}, formatNumber(values[0].value - values[1].value))));
    }
    this.describe(step, values);
    if (!this.rule) return;
    this.rule.replaceChildren();
    if (step === null) return;
    const x = this.x(step);
    this.rule.append(svg("line", { x1: x, x2: x, y1: MARGIN.top, y2: this.spec.height - MARGIN.bottom }),
      svg("text", { x: Math.min(Math.max(x, this.left + 24), this.width - 34), y: this.spec.height - 5 }, `step ${step}`));
    for (const { curve, index, value } of values) {
      if (value === null || value === undefined || (curve.points && curve.x[index] !== step)) continue;
      this.rule.append(svg("circle", { class: `dot tone-${curve.tone}`, cx: this.x(curve.x[index]), cy: this.y(value), r: 3.5 }));
    }
  }

  // One entry of the readout: a curve, or all curves of a series when there are several.
  reading(group, many) {
    const [{ curve }] = group;
    const { several } = this.board;
    const name = several ? (curve.terse ? null : curve.name) : curve.label;
    return el("span", { class: `value tone-${curve.tone}` },
      many ? el("i", { class: `swatch ${curve.points && !several ? "round" : ""}` }) : null,
      many && name ? el("span", { class: "name" }, name) : null,
      el("b", {}, group.map((one) => this.format(one.value) + (several && one.curve.band ? "" : interval(one.curve, one.index, this.format))).join(" · ")));
  }

  describe(step, values) {
    const [low, high] = this.board.range;
    const at = step ?? high;
    this.canvas.setAttribute("aria-valuemin", low);
    this.canvas.setAttribute("aria-valuemax", high);
    this.canvas.setAttribute("aria-valuenow", at);
    this.canvas.setAttribute("aria-valuetext",
      `step ${at}: ${values.map(({ curve, value }) => `${curve.label} ${this.format(value)}`).join(", ")}`);
  }
}

// The index of the step, or of the one nearest to it; -1 outside what the curve covers.
function covered(steps, step) {
  return step < steps[0] || step > steps.at(-1) ? -1 : nearestIndex(steps, step);
}

function bySeries(values) {
  const groups = new Map();
  for (const value of values) groups.set(value.curve.series, [...(groups.get(value.curve.series) ?? []), value]);
  return [...groups.values()];
}

function interval(curve, index, format) {
  const low = curve.low?.[index];
  const high = curve.high?.[index];
  return typeof low === "number" && typeof high === "number" ? ` [${format(low)}, ${format(high)}]` : "";
}

// What the charts of a page share: visible series, smoothing, the range of steps, and the step under the pointer.
class Board {
  constructor(series, onPick) {
    this.visible = new Set(series.map((_, index) => index));
    this.several = series.length > 1;
    this.charts = [];
    this.step = null;
    this.onPick = onPick;
    const all = series.flatMap((one) => [...(one.metrics.step || []), ...(one.evaluations.step || [])]);
    this.steps = [...new Set(all)].sort((a, b) => a - b);
    this.range = this.steps.length ? [this.steps[0], this.steps.at(-1)] : [0, 1];
    this.smooth = this.steps.length >= SMOOTH_FROM;
  }

  add(spec) {
    const chart = new Chart(spec, this);
    this.charts.push(chart);
    chart.mark(null);
    return chart.element;
  }

  redraw() {
    for (const chart of this.charts) {
      chart.draw(true);
      chart.mark(this.step);
    }
  }

  hover(step) {
    if (step === this.step) return;
    this.step = step;
    for (const chart of this.charts) chart.mark(step);
  }

  pick(step) {
    if (step !== null) this.onPick(step);
  }

  key(event) {
    const last = this.steps.length - 1;
    const now = this.step === null ? last : nearestIndex(this.steps, this.step);
    const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, PageDown: now - 10, PageUp: now + 10 };
    if (event.key in moves) this.hover(this.steps[Math.min(last, Math.max(0, moves[event.key]))] ?? null);
    else if (event.key === "Enter") this.pick(this.step);
    else if (event.key === "Escape") this.hover(null);
    else return;
    event.preventDefault();
  }
}
