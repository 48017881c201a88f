// Axes, smoothing and searching in sorted steps: plain functions.

function niceStep(span, count) {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const ratio = rough / power;
  // A hair of room: 0.6 / 3 is not exactly 0.2.
  return power * [1, 2, 5, 10].find((nice) => ratio <= nice * (1 + 1e-9));
}

// Multiples of a step from low to high.
function ticks(low, high, step) {
  const marks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    marks.push(Number((index * step).toPrecision(12)));
  }
  return marks;
}

// The range of an axis around the values, and the step of its marks: rounded outwards, shares from 0.
function extent(values, format, count) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1, 0.5];
  if (format === "share") low = Math.min(0, low);
  if (high - low < 1e-9 * Math.max(1, Math.abs(high))) {
    const room = Math.abs(high) * 0.1 || 1;
    if (format !== "share") low -= room;
    high = format === "share" ? 0.1 : high + room;
  }
  const step = niceStep(high - low, count);
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step, step];
}

// Exponential moving average, unbiased from the first value on; gaps stay gaps.
function smoothed(values, weight) {
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

// The index of the entry of a sorted list that is nearest to a value; -1 for an empty list.
function nearestIndex(sorted, value) {
  let low = 0;
  let high = sorted.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - sorted[low - 1] <= sorted[low] - value ? low - 1 : low;
}
