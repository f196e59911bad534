// The data of the file, decoded: traces with tensors as typed arrays, and the data of the views.

export const sources = { traces: [], derived: {} };

let arrays = []; // of [text, CRC-32]

/** Read the two blocks of data of this file into `sources`. */
export async function load(arrayBlock, contentBlock) {
  arrays = JSON.parse(arrayBlock);
  const packed = JSON.parse(await inflated(decode(contentBlock)));
  const content = expand(packed.content, packed.pool);
  sources.traces = content.traces.map(prepare);
  sources.derived = content.derived;
  const bad = arrays.filter(([text, crc]) => crc32(decode(text)) !== crc).length;
  for (const { damaged } of sources.traces)
    if (bad > 0 && damaged.length === 0) damaged.push(`${bad} arrays of another user or view`);
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

/** Replace references to the text pool by the texts; the file stores a repeated text once. */
function expand(value, pool) {
  if (Array.isArray(value)) return value.map((part) => expand(part, pool));
  if (value === null || typeof value !== "object") return value;
  if (Object.keys(value).length === 1 && "$" in value) return pool[value.$];
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, expand(part, pool)]));
}

/** Return a trace with decoded tensors; `damaged` lists tensors with a wrong checksum. */
function prepare(trace) {
  const damaged = [];
  for (const step of trace.steps) {
    step.outputs = step.outputs.map((tensor) => {
      const [text, crc] = arrays[tensor.data];
      const bytes = decode(text);
      if (crc32(bytes) !== crc) damaged.push(tensor.name);
      return { ...tensor, data: numbers(bytes, tensor.dtype) };
    });
  }
  return indexTrace({ ...trace, damaged });
}

/** Return a trace with lookups by tensor name: tensors, producing step, reading steps. */
export function indexTrace(trace) {
  const tensors = new Map();
  const stepOf = new Map();
  const readers = new Map();
  trace.steps.forEach((step, number) => {
    for (const tensor of step.outputs) {
      tensors.set(tensor.name, tensor);
      stepOf.set(tensor.name, number);
    }
  });
  trace.steps.forEach((step, number) => {
    for (const name of step.inputs) readers.set(name, [...(readers.get(name) ?? []), number]);
  });
  return { ...trace, tensors, stepOf, readers };
}

/** Return an array of a view as {axes, shape, dtype, data}, data decoded. */
export function unpacked(array) {
  return { ...array, data: numbers(decode(arrays[array.data][0]), array.dtype) };
}

/** Return the bytes of base64 in which *12; stands for twelve A, which are zeros. */
function decode(text) {
  const raw = atob(text.replace(/\*(\d+);/g, (_, count) => "A".repeat(count)));
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Return little-endian bytes as numbers, which are float64 in the page. */
function numbers(bytes, dtype) {
  if (dtype === "bool") return Float64Array.from(bytes);
  const view = new DataView(bytes.buffer);
  const count = bytes.length / 8;
  const out = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    out[i] =
      dtype === "int64" ? Number(view.getBigInt64(8 * i, true)) : view.getFloat64(8 * i, true);
  }
  return out;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** Return the CRC-32 of bytes: any single changed byte changes it. */
function crc32(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i += 1) c = TABLE[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
