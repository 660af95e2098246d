// llama.cpp as a user of the files we write: through node-llama-cpp, on the CPU, without compiling or downloading.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

export interface Generated {
  readonly tokens: readonly number[];
  readonly text: string;
}

/**
 * Loads a model and lets it continue `prompt` with the likeliest token, `count` times.
 * One thread: on a busy machine llama.cpp's own barriers may stall with more.
 */
export async function generate(path: string, prompt: string, count: number): Promise<Generated> {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  try {
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const context = await model.createContext({ contextSize: 256, batchSize: 256, threads: 1 });
    const given = model.tokenize(prompt);
    const bos = model.tokens.bos;
    const tokens = [];
    for await (const token of context
      .getSequence()
      .evaluate(bos === null ? given : [bos, ...given], { temperature: 0 })) {
      tokens.push(token);
      if (tokens.length === count) break;
    }
    return { tokens: tokens.map(Number), text: model.detokenize(tokens) };
  } finally {
    await llama.dispose();
  }
}
