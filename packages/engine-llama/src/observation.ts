import type { Activation, ActivationObserver } from "@fewbit/core";
import koffi from "koffi";
import { type EvalCallback, tensorFields as fields, type Handle, pointerBytes, values } from "./layout.js";
import type { Library } from "./library.js";
import { Memory } from "./memory.js";

/**
 * Shows an observer the inputs of matrix products. llama.cpp asks of every operation of its graph whether its result
 * is wanted, computes up to it, and calls again while its inputs are still there.
 */
export class Observation {
  readonly #library: Library;
  readonly #observer: ActivationObserver;
  #thrown: { readonly error: unknown } | undefined;
  readonly #memory = new Memory();
  #copy = new Float32Array(0);
  #bytes = new Uint8Array(0);

  constructor(library: Library, observer: ActivationObserver) {
    this.#library = library;
    this.#observer = observer;
  }

  /** Never throws: what an observer throws must not unwind through native code. */
  readonly callback: EvalCallback = (tensor, ask) => {
    if (this.#thrown !== undefined) return false;
    try {
      const op = koffi.decode.int32(tensor + fields.op);
      const { mulMat, mulMatId } = this.#library.ops;
      if (op !== mulMat && op !== mulMatId) return false;
      if (ask) return this.#wants(tensor, op === mulMatId);
      this.#observer.see(this.#activation(tensor, op === mulMatId));
      return true;
    } catch (error) {
      this.#thrown = { error };
      return false;
    }
  };

  /** Throws what the observer threw during the last call of native code. */
  rethrow(): void {
    const thrown = this.#thrown;
    this.#thrown = undefined;
    if (thrown !== undefined) throw thrown.error;
  }

  #wants(product: Handle, withExperts: boolean): boolean {
    const [weight, input] = [source(product, 0), source(product, 1)];
    if (koffi.decode.int32(input + fields.type) !== values.GGML_TYPE_F32) return false;
    const [columns, rows, matrices] = [extent(weight, 0), extent(weight, 1), extent(weight, 2)];
    return this.#observer.wants({
      weight: nameOf(weight),
      columns,
      rows,
      experts: withExperts ? matrices : 1,
      vectors: extent(input, 1),
    });
  }

  #activation(product: Handle, withExperts: boolean): Activation {
    const [weight, input] = [source(product, 0), source(product, 1)];
    const about = { weight: nameOf(weight), columns: extent(input, 0) };
    if (!withExperts) {
      const values = this.#read(input);
      const matrices = extent(weight, 2) * extent(weight, 3);
      return { ...about, values, experts: 1, ...(matrices > 1 ? { matrices, run: extent(input, 1) } : {}) };
    }
    const ids = source(product, 2);
    // Before the vectors: what lies on a device is copied to the same place.
    const chosen = this.#integers(ids);
    return {
      ...about,
      values: this.#read(input),
      experts: extent(weight, 2),
      chosen,
      used: extent(ids, 0),
      vectors: extent(input, 1),
    };
  }

  /** All vectors of a tensor of float32, one after another: a view of them where they lie so in memory. */
  #read(tensor: Handle): Float32Array {
    const shape = [0, 1, 2, 3].map((i) => extent(tensor, i));
    const strides = [0, 1, 2, 3].map((i) => stride(tensor, i));
    const [columns, n1, n2, n3] = shape as [number, number, number, number];
    const count = columns * n1 * n2 * n3;
    const all = new Float32Array(this.#bytesOf(tensor));
    if (strides[1] === 4 * columns && strides[2] === 4 * columns * n1 && strides[3] === 4 * columns * n1 * n2)
      return all.subarray(0, count);
    if (this.#copy.length < count) this.#copy = new Float32Array(count);
    let to = 0;
    for (let i3 = 0; i3 < n3; i3++)
      for (let i2 = 0; i2 < n2; i2++)
        for (let i1 = 0; i1 < n1; i1++) {
          const from = (i1 * strides[1]! + i2 * strides[2]! + i3 * strides[3]!) / 4;
          this.#copy.set(all.subarray(from, from + columns), to);
          to += columns;
        }
    return this.#copy.subarray(0, count);
  }

  /** A matrix of int32, whose rows may lie apart. */
  #integers(tensor: Handle): Int32Array {
    const [columns, rows, apart] = [extent(tensor, 0), extent(tensor, 1), stride(tensor, 1) / 4];
    const all = new Int32Array(this.#bytesOf(tensor));
    const packed = new Int32Array(columns * rows);
    for (let row = 0; row < rows; row++)
      packed.set(all.subarray(row * apart, row * apart + columns), row * columns);
    return packed;
  }

  /** From the first to the last element: the tensor's own memory, or a copy where it lies on a device. */
  #bytesOf(tensor: Handle): ArrayBuffer {
    const bytes = this.#library.ggml_nbytes(tensor);
    const buffer = pointer(tensor + fields.buffer);
    if (buffer !== 0n && this.#library.ggml_backend_buffer_is_host(buffer))
      return this.#memory.at(pointer(tensor + fields.data), bytes);
    if (this.#bytes.length < bytes) this.#bytes = new Uint8Array(bytes);
    this.#library.ggml_backend_tensor_get(tensor, this.#bytes, 0, bytes);
    return this.#bytes.buffer as ArrayBuffer;
  }
}

/** Numbers of elements and of bytes stay far below 2^53. */
const extent = (tensor: Handle, dimension: number): number =>
  Number(koffi.decode.int64(tensor + fields.ne + BigInt(8 * dimension)));

const stride = (tensor: Handle, dimension: number): number =>
  Number(pointer(tensor + fields.nb + BigInt(pointerBytes * dimension)));

const source = (tensor: Handle, index: number): Handle =>
  pointer(tensor + fields.src + BigInt(pointerBytes * index));

const pointer = (at: bigint): bigint =>
  BigInt(pointerBytes === 8 ? koffi.decode.uint64(at) : koffi.decode.uint32(at));

/** A copy that was made for a device is called `CUDA0#blk.0.attn_q.weight#0`. */
const nameOf = (tensor: Handle): string => {
  const name = koffi.decode.string(tensor + fields.name);
  return name.split("#")[1] ?? name;
};
