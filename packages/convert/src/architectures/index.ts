import type { Architecture } from "@fewbit/core";
import { bert, distilBert, roberta } from "./bert.js";
import { gemma2, gemma3 } from "./gemma.js";
import { gptOss } from "./gpt-oss.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";
import { mixtral } from "./mixtral.js";
import { olmo2 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2, qwen2Moe, qwen3, qwen3Moe } from "./qwen.js";
import { starcoder2 } from "./starcoder2.js";

/** Every architecture that this package brings. */
export const architectures: readonly Architecture[] = [
  llama,
  mixtral,
  qwen2,
  qwen2Moe,
  qwen3,
  qwen3Moe,
  gemma2,
  gemma3,
  phi3,
  gpt2,
  starcoder2,
  olmo2,
  gptOss,
  bert,
  roberta,
  distilBert,
];
