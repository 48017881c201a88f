// Which rollouts the list shows, and in which order: a pure function of the index and the filters.

const ORDERS = {
  "run order": null,
  "highest reward": (set) => (a, b) => (set.get("reward", b) ?? -Infinity) - (set.get("reward", a) ?? -Infinity) || a - b,
  "lowest reward": (set) => (a, b) => (set.get("reward", a) ?? Infinity) - (set.get("reward", b) ?? Infinity) || a - b,
  longest: (set) => (a, b) => set.get("length", b) - set.get("length", a) || a - b,
  shortest: (set) => (a, b) => set.get("length", a) - set.get("length", b) || a - b,
};

// filters: { step (null: all), low, high (null: open), verdict ("any", "correct", "wrong", "unchecked", "truncated"), signal (null: any, "some", "none", or a
// reason for none), text, order }
function selectRows(set, filters) {
  const wanted = filters.text.trim().toLowerCase();
  const rows = [];
  for (let row = 0; row < set.count; row += 1) {
    if (filters.step !== null && set.get("training_step", row) !== filters.step) continue;
    if (!withinReward(set.get("reward", row), filters)) continue;
    if (!hasVerdict(set, row, filters.verdict)) continue;
    if (!hasSignal(set, row, filters.signal)) continue;
    if (wanted && !contains(set, row, wanted)) continue;
    rows.push(row);
  }
  const compare = ORDERS[filters.order];
  return compare ? rows.sort(compare(set)) : rows;
}

function withinReward(reward, { low, high }) {
  if (low === null && high === null) return true;
  if (reward === null || reward === undefined) return false;
  return (low === null || reward >= low) && (high === null || reward <= high);
}

function hasVerdict(set, row, verdict) {
  if (verdict === "any") return true;
  if (verdict === "truncated") return set.get("truncated", row) === true;
  const correct = set.get("correct", row);
  if (verdict === "unchecked") return correct === null || correct === undefined;
  return correct === (verdict === "correct");
}

function hasSignal(set, row, signal) {
  if (signal === null) return true;
  const reason = set.get("reason", row);
  if (signal === "some") return reason === null;
  return signal === "none" ? reason !== null : reason === signal;
}

function contains(set, row, wanted) {
  if (set.get("text", row).toLowerCase().includes(wanted)) return true;
  return set.prompt(row).prompt.toLowerCase().includes(wanted);
}
