const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);

/** The form with a hyperbolic tangent. */
const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** The form with the error function itself. */
const gelu = (x: number): number => 0.5 * x * (1 + errorFunction(x / Math.SQRT2));

/** Its power series about zero where that converges fast, its continued fraction elsewhere. */
function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (size < 3) {
    let term = size;
    let sum = size;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-size * size) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-size * size) / (size + fraction) / Math.sqrt(Math.PI));
}

/** By the name that config.json gives. */
export const activations: ReadonlyMap<string, (x: number) => number> = new Map([
  ["silu", silu],
  ["swish", silu],
  ["gelu", gelu],
  ["gelu_new", geluTanh],
  ["gelu_pytorch_tanh", geluTanh],
  ["relu", (x: number) => Math.max(0, x)],
  ["sigmoid", sigmoid],
]);
