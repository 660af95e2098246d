import { isFewbitError } from "@fewbit/core";

/** Anything that registers a named test: vitest, jest, node:test, tape. The contracts depend on none of them. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown;

/** @throws Error with the claim that does not hold */
export function hold(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new Error(claim);
}

/** What an action throws; undefined when it throws nothing. */
export async function thrownBy(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (thrown) {
    return thrown ?? new Error("something empty was thrown");
  }
  return undefined;
}

/** Runs an action that may refuse its input: true when it did so with a FewbitError; any other error passes. */
export async function refuses(action: () => unknown): Promise<boolean> {
  const thrown = await thrownBy(action);
  if (thrown === undefined) return false;
  if (isFewbitError(thrown)) return true;
  throw thrown;
}

export const describe = (thrown: unknown): string =>
  thrown === undefined
    ? "nothing was thrown"
    : isFewbitError(thrown)
      ? `${thrown.code}: ${thrown.message}`
      : String(thrown);

/** Structural equality of plain data: what structured clone can carry. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) return sameBytes(bytesOf(a), bytesOf(b));
  if (a instanceof ArrayBuffer && b instanceof ArrayBuffer)
    return sameBytes(new Uint8Array(a), new Uint8Array(b));
  if (a instanceof Map && b instanceof Map) return equal([...a], [...b]);
  if (a instanceof Set && b instanceof Set) return equal([...a], [...b]);
  if (typeof Blob !== "undefined" && a instanceof Blob && b instanceof Blob) return a.size === b.size;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) => key in b && equal((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}

const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
