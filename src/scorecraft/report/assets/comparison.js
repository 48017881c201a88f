// The table of differences between recipes, paired by seed.

function differenceText(found, format) {
  if (!found) return "–";
  const share = format === "share";
  const text = (value) => (share ? signed((100 * value).toFixed(1)) : formatNumber(value));
  const plus = (value) => (value > 0 ? "+" : "") + text(value);
  return [plus(found.estimate), found.low === null ? "" : ` [${plus(found.low)}, ${plus(found.high)}]`].join("");
}

function drawComparison({ comparison, series }) {
  if (!comparison.rows) return;
  const { baseline, recipes, rows, sentences, seeds } = comparison;
  const section = byId("comparison");
  section.hidden = false;
  const head = (name, index) => el("th", { scope: "col", class: `tone-${seriesTone(series, index)}` }, el("i", { class: "swatch" }), ` ${name}`);
  section.append(
    el("div", { class: "section-head" }, el("h2", { id: "comparison-title" }, "Differences at the end")),
    ...sentences.map((text) => el("p", { class: "finding" }, text)),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of differences" }, el("table", { class: "compared" },
      el("thead", {}, el("tr", {}, el("th", {}, ""), recipes.map(head), recipes.slice(1).map((name, index) =>
        el("th", { scope: "col" }, `${name} − ${baseline}`, el("span", { class: "soft below" }, seeds[index].length === 1 ? " 1 seed" : ` ${seeds[index].length} seeds`))))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.title),
        row.values.map((value) => el("td", {}, formatter(row.format)(value))),
        row.differences.map((found) => el("td", { class: found?.clear ? "clear" : "" }, differenceText(found, row.format),
          row.format === "share" && found ? el("span", { class: "soft" }, " points") : null,
          found?.clear ? el("span", { class: "unseen" }, " clear of 0") : null))))))),
    el("p", { class: "help" }, `Held-out accuracy after the last step; everything else is the mean over the last twentieth of the steps. Differences are means over the seeds that both recipes have, with 95 % bootstrap intervals; bold where the interval leaves out 0. Rewards of different kinds are on scales of their own.`));
}
