// Packed rollouts: a compressed index, and compressed blocks of planes with one byte per token.

async function gunzip(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The value of a 16-bit float, given its low and high byte.
function half(low, high) {
  const sign = high & 0x80 ? -1 : 1;
  const exponent = (high & 0x7c) >> 2;
  const mantissa = ((high & 0x03) << 8) | low;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

class RolloutSet {
  constructor(packed) {
    this.packed = packed;
    this.columns = null;
    this.cache = new Map();
  }

  async load() {
    if (this.columns) return this;
    const columns = JSON.parse(new TextDecoder().decode(await gunzip(this.packed.index)));
    this.count = columns.text.length;
    this.parts = Object.keys(columns).filter((name) => name.startsWith("reward/"));
    this.measures = Object.keys(columns).filter((name) => name.startsWith("measure/"));
    this.steps = [...new Set(columns.training_step)];
    this.reasons = [...new Set(columns.reason)].filter(Boolean).sort();
    this.place = new Array(this.count);
    let row = 0;
    columns.rows.forEach((rows, block) => {
      for (let start = 0, end = row + rows; row < end; row += 1) {
        this.place[row] = [block, start];
        start += columns.length[row];
      }
    });
    this.columns = columns;
    return this;
  }

  get(name, row) {
    const column = this.columns[name];
    return column ? column[row] : null;
  }

  prompt(row) {
    const [prompt, answer, gold] = this.columns.prompts[this.columns.prompt[row]];
    return { prompt, answer, gold };
  }

  // The rollouts of the same prompt at the same step.
  group(row) {
    const { group, training_step: step } = this.columns;
    const members = [];
    for (let other = 0; other < this.count; other += 1) {
      if (group[other] === group[row] && step[other] === step[row]) members.push(other);
    }
    return members;
  }

  async block(number) {
    if (!this.cache.has(number)) {
      if (this.cache.size >= 6) this.cache.delete(this.cache.keys().next().value);
      this.cache.set(number, gunzip(this.packed.blocks[number]));
    }
    return this.cache.get(number);
  }

  // One object per token: its text, whether the policy sampled it, its reasoning step (-1: none), its numbers.
  async tokens(row) {
    const [number, start] = this.place[row];
    const bytes = await this.block(number);
    const names = this.packed.planes;
    const total = bytes.length / (5 + 2 * names.length);
    const at = (plane, index) => bytes[plane * total + index];
    const tokens = [];
    for (let index = start; index < start + this.columns.length[row]; index += 1) {
      const id = at(0, index) | (at(1, index) << 8) | (at(2, index) << 16);
      const token = { text: this.packed.texts[id], sampled: at(3, index) === 1, step: at(4, index) - 1 };
      names.forEach((name, order) => {
        token[name] = half(at(5 + 2 * order, index), at(6 + 2 * order, index));
      });
      tokens.push(token);
    }
    return tokens;
  }
}
