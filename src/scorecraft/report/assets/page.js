// The page: header, theme, recipe and versions; then everything is drawn.

function drawHead(report) {
  const { series, runs } = report;
  const place = byId("head");
  if (series.length === 1) {
    const [one] = series;
    place.append(el("h1", {}, one.name), ...verdicts(one), why(one), facts(one));
    return;
  }
  const title = runs.length === series.length ? `${runs.length} runs` : `${series.length} recipes, ${runs.length} runs`;
  place.append(el("h1", {}, title), el("div", { class: "runs" }, series.map((one, index) =>
    el("article", { class: `run tone-${seriesTone(series, index)}` }, el("h2", {}, el("i", { class: "swatch" }), one.name),
      ...verdicts(one), why(one), facts({ facts: one.facts.filter(([name]) => ["Steps", "Time", "Seed", "Seeds"].includes(name)) })))), differences(report));
}

function verdicts(one) {
  return one.verdict.map((text, index) => el("p", { class: index ? "verdict apart" : "verdict" }, text));
}

function why(one) {
  return one.why.length ? el("p", { class: "why" }, one.why.join(" "), " ", el("a", { href: "#diagnosis" }, "Why?")) : null;
}

function differences({ series, differences: rows }) {
  if (!rows.length) return el("p", { class: "help differences" }, "The recipes are the same.");
  return el("div", { class: "differences", tabindex: "0", role: "group", "aria-label": "Differences of the recipes" }, el("table", {},
    el("caption", {}, "What differs between the recipes"),
    el("thead", {}, el("tr", {}, el("th", {}, ""), series.map((one) => el("th", { scope: "col" }, one.name)))),
    el("tbody", {}, rows.map(([path, values]) => el("tr", {}, el("th", { scope: "row" }, path), values.map((value) => el("td", {}, value ?? "–")))))));
}

function facts(run) {
  return el("dl", { class: "facts" }, run.facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawRecipes(report) {
  byId("recipes").append(...report.runs.map((run) => el("details", { class: "recipe", open: report.runs.length === 1 },
    el("summary", {}, run.name),
    el("div", { class: "two" }, el("pre", { tabindex: "0", "aria-label": "Recipe" }, run.recipe),
      el("pre", { tabindex: "0", "aria-label": "Versions" }, versionText(run.versions))),
    run.citations ? el("div", {}, el("h4", {}, "To cite"), el("pre", { tabindex: "0", "aria-label": "Citations" }, run.citations)) : null)));
}

function versionText(value, indent = "") {
  return Object.entries(value).map(([name, item]) => (item !== null && typeof item === "object"
    ? `${indent}${name}:\n${versionText(item, `${indent}  `)}` : `${indent}${name}: ${item}`)).join("\n") || "no versions were saved";
}

function remembered() {
  try {
    return localStorage.getItem("scorecraft-theme");
  } catch {
    return null;
  }
}

function setUpTheme() {
  const button = byId("theme");
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const describe = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`);
  };
  if (remembered()) document.documentElement.dataset.theme = remembered();
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    try {
      localStorage.setItem("scorecraft-theme", document.documentElement.dataset.theme);
    } catch {
      // A page opened from a file may have no storage; the choice then lasts as long as the page.
    }
    describe();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", describe);
  describe();
}

async function main() {
  const report = embedded("report-data");
  setUpTheme();
  drawHead(report);
  drawComparison(report);
  let browser = null;
  const board = drawCurves(report, (step) => browser?.showStep(step));
  drawDiagnosis(report, board);
  drawRecipes(report);
  browser = await drawBrowser(report, embedded("rollout-data"));
  document.documentElement.dataset.ready = "true";
}

main();
