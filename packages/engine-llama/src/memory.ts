import koffi from "koffi";

/**
 * Views of memory that is not JavaScript's, one for each address: llama.cpp computes in the same few places again and
 * again, and every new view would count as that much more memory to collect.
 */
export class Memory {
  readonly #views = new Map<bigint, ArrayBuffer>();

  /** At least `bytes` bytes from `address` on, of which no more than those may be touched. */
  at(address: bigint, bytes: number): ArrayBuffer {
    let view = this.#views.get(address);
    if (view === undefined || view.byteLength < bytes) {
      view = koffi.view(address, bytes);
      this.#views.set(address, view);
    }
    return view;
  }
}
