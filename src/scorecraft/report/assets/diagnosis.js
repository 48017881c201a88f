// "Why does nothing train?": the shares a run logged under zero/<reason>, at every step and lately.

function recentMean(values) {
  const known = (values || []).filter((value) => value !== null);
  const recent = known.slice(-Math.max(1, Math.floor(known.length / 10)));
  return recent.length ? recent.reduce((sum, value) => sum + value, 0) / recent.length : null;
}

function reasonSpec(reason, series) {
  const curves = series.flatMap((one, index) => (one.metrics[reason.key] ? [{
    ...curveOf(one, index, "metrics", reason.key), terse: true, tone: seriesTone(series, index),
    label: series.length > 1 ? one.name : reason.title,
  }] : []));
  return { title: reason.title, format: "share", height: 96, help: reason.meaning, curves };
}

// The line that says for the step under the pointer, or the last one, what share had no advantage and why.
class StepReasons {
  constructor(series, reasons, board) {
    Object.assign(this, { series, reasons, board });
    this.element = el("div", { class: "step-reasons" });
  }

  draw() {}

  mark(step) {
    this.element.replaceChildren(...this.series.flatMap((one, index) => {
      if (!this.board.visible.has(index) || !one.metrics.step?.length) return [];
      const at = step === null ? one.metrics.step.length - 1 : covered(one.metrics.step, step);
      if (at < 0) return [];
      const found = this.reasons.map((reason) => [reason.title.toLowerCase(), one.metrics[reason.key]?.[at] ?? 0]).filter(([, share]) => share > 0);
      const text = found.map(([title, share]) => `${title} ${formatShare(share)}`).join(", ") || "nothing was left without an advantage";
      return [el("p", { class: `tone-${seriesTone(this.series, index)}` }, this.series.length > 1 ? el("i", { class: "swatch" }) : null,
        el("strong", {}, `Step ${one.metrics.step[at]}`), this.series.length > 1 ? ` ${one.name}` : "", `: ${text}.`)];
    }));
  }
}

function drawDiagnosis(report, board) {
  const { series, reasons } = report;
  if (!reasons.length) return;
  const ever = (reason) => series.some((one) => (one.metrics[reason.key] || []).some((value) => value > 0));
  const active = reasons.filter(ever);
  const never = reasons.filter((reason) => !ever(reason)).map((reason) => reason.title.toLowerCase());
  const section = byId("diagnosis");
  section.hidden = false;
  section.setAttribute("aria-labelledby", "diagnosis-title");
  const line = new StepReasons(series, reasons, board);
  section.append(
    el("div", { class: "section-head" }, el("h2", { id: "diagnosis-title" }, "Why does nothing train?")),
    ...series.map((one) => el("p", { class: "finding" }, series.length > 1 ? el("strong", {}, `${one.name}: `) : null, one.why.join(" "))),
    line.element,
    el("p", { class: "help" }, "Shares of the rollouts of a step without an advantage, by reason; point at a chart to read a step. The numbers in the text are means over the last tenth of the steps.",
      never.length ? ` Never seen: ${never.join(", ")}.` : ""),
    el("div", { class: "reasons" }, active.map((reason) => {
      const shares = series.map((one) => recentMean(one.metrics[reason.key]));
      return el("article", { class: "reason" }, board.add(reasonSpec(reason, series)),
        el("p", {}, el("strong", {}, shares.map(formatShare).join(" · ")), " lately. ", reason.meaning),
        Math.max(...shares) > 0 && reason.remedy ? el("p", { class: "remedy" }, reason.remedy) : null);
    })));
  board.charts.push(line);
  line.mark(null);
}
