// The section of curves: reward against the truth, held-out evaluations, parts of the reward, the training itself.
// A series is one recipe: a single run, or several seeds of it as their mean with a band.

const TONES = 8;

function seriesTone(series, index) {
  return series.length === 1 ? "plain" : `run-${index % TONES}`;
}

// What every curve of a series has in common.
function curveOf(one, index, source, key) {
  const [low, high] = one.bands[source][key] ?? [];
  return { series: index, name: one.name, x: one[source].step, y: one[source][key], low, high, band: Boolean(low) };
}

// One curve per series and key.
function curvesOf(chart, series, source) {
  return series.flatMap((one, index) => chart.keys.filter((key) => one[source][key]).map((key, order) => ({
    ...curveOf(one, index, source, key), terse: true,
    label: [series.length > 1 ? one.name : null, chart.labels[order] ?? null].filter(Boolean).join(" ") || chart.title,
    tone: chart.keys.length > 1 && series.length === 1 ? `run-${chart.keys.indexOf(key) % TONES}` : seriesTone(series, index),
    dashed: series.length > 1 && order > 0,
    points: source === "evaluations" && one[source].step.length < 2,
  })));
}

function heldOut(one, index, tone, label) {
  const { step, accuracy, accuracy_low: low, accuracy_high: high } = one.evaluations;
  return accuracy ? { label, tone, series: index, name: one.name, terse: true, x: step, y: accuracy, low, high, points: true } : null;
}

function mainSpec(series) {
  const single = series.length === 1;
  const curves = series.flatMap((one, index) => {
    const { reward, accuracy } = one.metrics;
    const name = (text) => (single ? text : `${one.name}, ${text.toLowerCase()}`);
    const tone = (own) => (single ? own : seriesTone(series, index));
    return [
      reward ? { ...curveOf(one, index, "metrics", "reward"), label: name("Reward"), tone: tone("proxy"), dashed: !single } : null,
      accuracy ? { ...curveOf(one, index, "metrics", "accuracy"), label: name("Accuracy"), tone: tone("truth") } : null,
      heldOut(one, index, tone("truth"), name("Held-out")),
    ].filter(Boolean);
  });
  const { reward, accuracy } = series[0].metrics;
  const bands = series.some((one) => one.members.length > 1) ? " Lines are means over seeds, bands their 95 % intervals." : "";
  return {
    title: "Reward and accuracy", curves, wide: true, height: 300, format: "number", gap: single && Boolean(reward && accuracy),
    help: (single
      ? "The reward (the proxy) is what the policy was trained on, accuracy (the truth) the exact checker’s verdict on the same completions; a gap that widens is reward earned without solving the task. Dots are held-out evaluations with their intervals."
      : "Dashed: the reward (the proxy), what the policy was trained on. Solid: accuracy (the truth), the exact checker’s verdict. Dots: held-out evaluations with their intervals.") + bands,
  };
}

function heldOutSpec(series) {
  const curves = series.flatMap((one, index) => {
    const dots = heldOut(one, index, series.length === 1 ? "truth" : seriesTone(series, index), series.length === 1 ? "Accuracy" : one.name);
    return dots ? [dots] : [];
  });
  const help = "Accuracy on problems that training never sees, with its interval.";
  return { title: "Held-out accuracy", help, curves, height: 170, format: "share" };
}

function chartGroup(title, elements) {
  if (!elements.length) return [];
  return [title ? el("h3", { class: "group" }, title) : null, el("div", { class: "grid-of-charts" }, elements)];
}

function smallCharts(board, list, series, source, height = 150) {
  return list.map((chart) => ({ ...chart, curves: curvesOf(chart, series, source), height }))
    .filter((spec) => spec.curves.length).map((spec) => board.add(spec));
}

// The charts of the training stand together, those of the groups from the saved rollouts among them.
function trainingCharts(board, list, series) {
  return list.flatMap((chart) => smallCharts(board, [chart], series, chart.keys[0] === "reward_spread" ? "groups" : "metrics"));
}

function drawCurves(report, onPick) {
  const { series } = report;
  const board = new Board(series, onPick);
  const place = byId("charts");
  if (!board.steps.length) {
    place.append(el("p", { class: "note" }, "No step has been logged yet; write the report again once the run has begun."));
    return board;
  }
  const main = mainSpec(series);
  const held = heldOutSpec(series);
  const legend = series.length > 1 ? [legendOf(board, series)] : [];
  place.append(
    ...legend,
    ...(main.curves.length ? [board.add(main)] : []),
    ...chartGroup("Proxy and truth", [
      ...smallCharts(board, report.gap, series, "metrics", 170),
      ...(held.curves.length ? [board.add(held)] : []),
      ...smallCharts(board, report.passes, series, "evaluations", 170)]),
    ...chartGroup("Parts of the reward", smallCharts(board, report.parts, series, "metrics")),
    ...chartGroup("Training", trainingCharts(board, report.dynamics, series)),
  );
  const toggle = el("input", { type: "checkbox", id: "smooth", checked: board.smooth, change: () => {
    board.smooth = toggle.checked;
    board.redraw();
  } });
  byId("curve-controls").append(el("label", { class: "check" }, toggle, "Smooth"));
  return board;
}

// Which recipes are drawn; a box for each.
function legendOf(board, series) {
  return el("div", { class: "legend-of-runs", role: "group", "aria-label": "Recipes shown in the charts" }, series.map((one, index) => {
    const box = el("input", { type: "checkbox", checked: true, "aria-label": one.name, change: () => {
      if (box.checked) board.visible.add(index);
      else board.visible.delete(index);
      board.redraw();
    } });
    return el("label", { class: `check tone-${seriesTone(series, index)}` }, box, el("i", { class: `swatch ${one.members.length > 1 ? "banded" : ""}` }),
      el("span", { class: "name" }, one.name), one.members.length > 1 ? el("span", { class: "soft" }, `${one.members.length} seeds`) : null);
  }));
}
