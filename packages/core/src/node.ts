// Node's side: files by path, whole models, and writing an output that appears only when it is complete.
export { ioError, nodeIo, openFile } from "./files.js";
export { type Folder, openCheckpoint, openModel } from "./open-model.js";
export { createPartial, type PartialFile, removePartial } from "./partial-file.js";
export { outputNames, type WriteRequest, type Written, writeModel } from "./write-model.js";
