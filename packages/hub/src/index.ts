import { definePlugin, type Plugin } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };
import { hubResolver } from "./resolver.js";

const plugin: Plugin = definePlugin({
  api: 1,
  name: pkg.name,
  version: pkg.version,
  module: import.meta.url,
  resolvers: [hubResolver()],
});

export default plugin;
export { type Access, accessOf } from "./access.js";
export { type HubAddress, isHubAddress, parseAddress } from "./address.js";
export {
  type DownloadedFile,
  type DownloadOptions,
  type DownloadPlan,
  type DownloadProgress,
  type DownloadRequest,
  download,
  planDownload,
} from "./download.js";
export type { Checksum, HubFile, Repository } from "./repository.js";
export { hubResolver } from "./resolver.js";
export type { Selection } from "./selection.js";
