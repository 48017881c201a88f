// Numbers as text.

const MINUS = "\u2212";

function signed(text) {
  return text.replaceAll("-", MINUS);
}

function formatNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-3) return signed(value.toExponential(1));
  if (size >= 100) return signed(Math.round(value).toLocaleString("en-US"));
  if (size < 0.1) return signed(value.toPrecision(2));
  return signed(value.toFixed(size >= 10 ? 1 : 2));
}

function formatShare(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const percent = 100 * value;
  return `${signed(percent.toFixed(percent !== 0 && Math.abs(percent) < 10 ? 1 : 0))}\u00a0%`;
}

function formatter(name) {
  return name === "share" ? formatShare : formatNumber;
}

function formatCount(value) {
  return value.toLocaleString("en-US");
}

// Text with its invisible characters made visible, for a single token.
function visible(text) {
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "(empty)";
}
