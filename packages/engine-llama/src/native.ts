// All that touches native code enters here, imported only in the engine's process.
import type { EngineHost } from "@fewbit/core";
import koffi from "koffi";
import type { Build } from "./builds.js";
import { loadLibrary } from "./library.js";
import { loadModel } from "./model.js";

/** @throws `E_ENGINE_MISSING`, `E_ENGINE_VERSION` */
export function openHost(build: Build): EngineHost {
  endWithParent();
  const library = loadLibrary(build);
  const { version, devices } = library;
  return { version, devices, load: (path, options = {}) => loadModel(library, path, options) };
}

/** Where the system offers it, even in the middle of a long computation. */
function endWithParent(): void {
  if (process.platform !== "linux") return;
  const PR_SET_PDEATHSIG = 1;
  const SIGKILL = 9;
  koffi.load(null).func("int prctl(int option, unsigned long value)")(PR_SET_PDEATHSIG, SIGKILL);
}
