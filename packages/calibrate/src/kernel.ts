import { wasm } from "./kernel.gen.js";

/** The exports of assembly/index.ts; addresses and counts are u32. */
export interface Kernel {
  readonly memory: WebAssembly.Memory;
  base(): number;
  addSquares(sums: number, x: number, columns: number, vectors: number): number;
  pack(x: number, packed: number, columns: number, vectors: number): void;
  addProducts(sums: number, packed: number, columns: number, vectors: number): void;
}

let compiled: WebAssembly.Module | undefined;

/** An instance with a memory of its own. Its code is compiled once. */
export function createKernel(): Kernel {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(wasm), (character) => character.charCodeAt(0)));
  return new WebAssembly.Instance(compiled, {}).exports as unknown as Kernel;
}

const PAGE = 65536;
const LINE = 64;

/** Room for arrays of these sizes in bytes, each aligned to 64; views of the memory from before are void. */
export function reserve(kernel: Kernel, ...sizes: readonly number[]): number[] {
  let end = Math.ceil(kernel.base() / LINE) * LINE;
  const addresses = sizes.map((size) => {
    const address = end;
    end += Math.ceil(size / LINE) * LINE;
    return address;
  });
  const missing = end - kernel.memory.buffer.byteLength;
  if (missing > 0) kernel.memory.grow(Math.ceil(missing / PAGE));
  return addresses;
}
