// The section of curves: reward against the truth, held-out evaluations, parts of the reward, the training itself.

const TONES = 8;

function runTone(runs, index) {
  return runs.length === 1 ? "plain" : `run-${index % TONES}`;
}

// One curve per run and key.
function curvesOf(chart, runs, source) {
  return runs.flatMap((run, index) => chart.keys.filter((key) => run[source][key]).map((key, order) => ({
    label: [runs.length > 1 ? run.name : null, chart.labels[order] ?? null].filter(Boolean).join(" ") || chart.title,
    tone: chart.keys.length > 1 && runs.length === 1 ? `run-${chart.keys.indexOf(key) % TONES}` : runTone(runs, index),
    run: index, name: run.name, terse: true, x: run[source].step, y: run[source][key],
    dashed: runs.length > 1 && order > 0,
    points: source === "evaluations" && run[source].step.length < 2,
  })));
}

function heldOut(run, index, tone, label) {
  const { step, accuracy, accuracy_low: low, accuracy_high: high } = run.evaluations;
  return accuracy ? { label, tone, run: index, name: run.name, terse: true, x: step, y: accuracy, low, high, points: true } : null;
}

function mainSpec(runs) {
  const single = runs.length === 1;
  const curves = runs.flatMap((run, index) => {
    const { step, reward, accuracy } = run.metrics;
    const name = (text) => (single ? text : `${run.name}, ${text.toLowerCase()}`);
    const tone = (own) => (single ? own : runTone(runs, index));
    return [
      reward ? { label: name("Reward"), tone: tone("proxy"), dashed: !single, run: index, name: run.name, x: step, y: reward } : null,
      accuracy ? { label: name("Accuracy"), tone: tone("truth"), run: index, name: run.name, x: step, y: accuracy } : null,
      heldOut(run, index, tone("truth"), name("Held-out")),
    ].filter(Boolean);
  });
  const { reward, accuracy } = runs[0].metrics;
  return {
    title: "Reward and accuracy", curves, wide: true, height: 300, format: "number", gap: single && Boolean(reward && accuracy),
    help: single
      ? "The reward is what the policy was trained on, accuracy the exact checker’s verdict on the same completions; a gap that widens is reward earned without solving the task. Dots are held-out evaluations with their intervals."
      : "Dashed: the reward, what the policy was trained on. Solid: accuracy, the exact checker’s verdict. Dots: held-out evaluations with their intervals.",
  };
}

function heldOutSpec(runs) {
  const curves = runs.flatMap((run, index) => {
    const dots = heldOut(run, index, runs.length === 1 ? "truth" : runTone(runs, index), runs.length === 1 ? "Accuracy" : run.name);
    return dots ? [dots] : [];
  });
  const help = "Accuracy on problems that training never sees, with its interval.";
  return { title: "Held-out accuracy", help, curves, height: 170, format: "share" };
}

function chartGroup(title, elements) {
  if (!elements.length) return [];
  return [title ? el("h3", { class: "group" }, title) : null, el("div", { class: "grid-of-charts" }, elements)];
}

function smallCharts(board, list, runs, source) {
  return list.map((chart) => ({ ...chart, curves: curvesOf(chart, runs, source), height: 150 }))
    .filter((spec) => spec.curves.length).map((spec) => board.add(spec));
}

function drawCurves(report, onPick) {
  const { runs } = report;
  const board = new Board(runs, onPick);
  const place = byId("charts");
  if (!board.steps.length) {
    place.append(el("p", { class: "note" }, "No step has been logged yet; write the report again once the run has begun."));
    return board;
  }
  const main = mainSpec(runs);
  const held = heldOutSpec(runs);
  place.append(
    ...(main.curves.length ? [board.add(main)] : []),
    ...chartGroup("Held-out", [...(held.curves.length ? [board.add(held)] : []), ...smallCharts(board, report.passes, runs, "evaluations")]),
    ...chartGroup("Parts of the reward", smallCharts(board, report.parts, runs, "metrics")),
    ...chartGroup("Training", smallCharts(board, report.dynamics, runs, "metrics")),
  );
  curveControls(board, runs);
  return board;
}

function curveControls(board, runs) {
  const toggle = el("input", { type: "checkbox", id: "smooth", checked: board.smooth, change: () => {
    board.smooth = toggle.checked;
    board.redraw();
  } });
  byId("curve-controls").append(el("label", { class: "check" }, toggle, "Smooth"));
  if (runs.length < 2) return;
  byId("curve-controls").prepend(...runs.map((run, index) => {
    const box = el("input", { type: "checkbox", checked: true, change: () => {
      if (box.checked) board.visible.add(index);
      else board.visible.delete(index);
      board.redraw();
    } });
    return el("label", { class: `check tone-${runTone(runs, index)}` }, box, el("i", { class: "swatch" }), run.name);
  }));
}
