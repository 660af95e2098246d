import { parentPort, workerData } from "node:worker_threads";
import { FewbitError, importPlugin } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { worker } from "@fewbit/core/worker";

const work = worker((name) => {
  const ref = workerData[name];
  if (ref === undefined) throw new FewbitError("E_PLUGIN_NOT_FOUND", `The plugin ${name} is not registered.`);
  return importPlugin(ref, name);
}, nodeIo());

parentPort.on("message", async (job) => parentPort.postMessage(await work(job)));
