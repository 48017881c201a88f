// "Why does nothing train?": the shares a run logged under zero/<reason>, over the last tenth of its steps.

function recentMean(values) {
  const known = (values || []).filter((value) => value !== null);
  const recent = known.slice(-Math.max(1, Math.floor(known.length / 10)));
  return recent.length ? recent.reduce((sum, value) => sum + value, 0) / recent.length : null;
}

function reasonSpec(reason, runs) {
  const curves = runs.flatMap((run, index) => (run.metrics[reason.key] ? [{
    label: runs.length > 1 ? run.name : reason.title, name: run.name, terse: true, tone: runTone(runs, index),
    run: index, x: run.metrics.step, y: run.metrics[reason.key],
  }] : []));
  return { title: reason.title, format: "share", height: 96, help: reason.meaning, curves };
}

function drawDiagnosis(report, board) {
  const { runs, reasons } = report;
  if (!reasons.length) return;
  const ever = (reason) => runs.some((run) => (run.metrics[reason.key] || []).some((value) => value > 0));
  const active = reasons.filter(ever);
  const never = reasons.filter((reason) => !ever(reason)).map((reason) => reason.title.toLowerCase());
  const section = byId("diagnosis");
  section.hidden = false;
  section.setAttribute("aria-labelledby", "diagnosis-title");
  section.append(
    el("div", { class: "section-head" }, el("h2", { id: "diagnosis-title" }, "Why does nothing train?")),
    el("p", { class: "help" }, "The shares that gave no gradient, by reason. Numbers in the text are means over the last tenth of the steps.",
      never.length ? ` Never seen: ${never.join(", ")}.` : ""),
    el("div", { class: "reasons" }, active.map((reason) => {
      const shares = runs.map((run) => recentMean(run.metrics[reason.key]));
      return el("article", { class: "reason" }, board.add(reasonSpec(reason, runs)),
        el("p", {}, el("strong", {}, shares.map(formatShare).join(" · ")), " lately. ", reason.meaning),
        Math.max(...shares) > 0 && reason.remedy ? el("p", { class: "remedy" }, reason.remedy) : null);
    })));
}
