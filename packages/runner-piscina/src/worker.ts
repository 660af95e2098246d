// A thread of the pool. All the state it has: plugins it imported, codecs it loaded, files it opened.
import { workerData } from "node:worker_threads";
import { FewbitError, importPlugin, type Job, type ModuleRef } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { type Answer, worker } from "@fewbit/core/worker";

const modules = workerData as Readonly<Record<string, ModuleRef>>;

const work = worker(async (name) => {
  const ref = modules[name];
  if (ref === undefined)
    throw new FewbitError(
      "E_PLUGIN_NOT_FOUND",
      `The plugin ${name} is not registered.`,
      {},
      `Install it and name it with --plugin ${name}.`,
    );
  return importPlugin(ref, name);
}, nodeIo());

export default (job: Job): Promise<Answer> => work(job);
