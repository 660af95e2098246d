// Compiles rules as SentencePiece does, to be read again: a double array, filled as simply as can be.

/** @param rules what is replaced, and by what */
export function compileRules(rules: Readonly<Record<string, string>>): Uint8Array {
  const encoder = new TextEncoder();
  const texts: number[] = [];
  interface Node {
    readonly children: Map<number, Node>;
    value?: number;
  }
  const root: Node = { children: new Map() };
  for (const [from, to] of Object.entries(rules)) {
    let node = root;
    for (const byte of encoder.encode(from)) {
      const child = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, child);
      node = child;
    }
    node.value = texts.length;
    texts.push(...encoder.encode(to), 0);
  }
  // A child is at the place of its parent, changed by the parent's offset and its own byte; a value has the byte 0.
  const units = new Map<number, number>();
  units.set(0, 0);
  const place = (node: Node, at: number): void => {
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()];
    let offset = 1;
    while (
      labels.some((label) => units.has(at ^ offset ^ label)) ||
      labels.some((label) => (at ^ offset ^ label) === 0)
    )
      offset++;
    const leaf = node.value === undefined ? 0 : 0x100;
    units.set(at, ((units.get(at)! & 0xff) | leaf | (offset << 10)) >>> 0);
    if (node.value !== undefined) units.set(at ^ offset, (0x8000_0000 | node.value) >>> 0);
    for (const byte of node.children.keys()) units.set(at ^ offset ^ byte, byte);
    for (const [byte, child] of node.children) place(child, at ^ offset ^ byte);
  };
  place(root, 0);
  const count = (Math.floor(Math.max(...units.keys()) / 256) + 1) * 256;
  const bytes = new Uint8Array(4 + count * 4 + texts.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, count * 4, true);
  for (const [at, unit] of units) view.setUint32(4 + at * 4, unit, true);
  bytes.set(texts, 4 + count * 4);
  return bytes;
}
