// llama.cpp as a user of the files we write: through node-llama-cpp, on the CPU, without compiling or downloading.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

export interface Generated {
  readonly tokens: readonly number[];
  readonly text: string;
}

export interface Engine {
  /** Loads a model and lets it continue `prompt` with the likeliest token, at most `count` times. */
  generate(path: string, prompt: string, count: number): Promise<Generated>;
  dispose(): Promise<void>;
}

/** One thread: on a busy machine llama.cpp's own barriers may stall with more. */
export async function createEngine(): Promise<Engine> {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  return {
    async generate(path, prompt, count) {
      const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
      try {
        const context = await model.createContext({ contextSize: 256, batchSize: 256, threads: 1 });
        const given = model.tokenize(prompt);
        const { bos } = model.tokens;
        const steps = context
          .getSequence()
          .evaluate(bos === null ? given : [bos, ...given], { temperature: 0 });
        const tokens = [];
        for await (const token of steps) if (tokens.push(token) === count) break;
        return { tokens: tokens.map(Number), text: model.detokenize(tokens) };
      } finally {
        await model.dispose();
      }
    },
    dispose: () => llama.dispose(),
  };
}
