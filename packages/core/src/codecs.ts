import type { LoadCodec } from "./execute.js";
import { createRegistry } from "./registry.js";
import type { Codec, Plugin } from "./types.js";

/** Remembers codecs for one thread. `plugin` finds a plugin by its npm name. */
export function codecCache(plugin: (name: string) => Plugin | Promise<Plugin>): LoadCodec {
  const codecs = new Map<string, Promise<Codec>>();
  return (name, scheme) => {
    const key = `${name}:${scheme}`;
    let codec = codecs.get(key);
    if (codec === undefined) {
      codec = Promise.resolve(plugin(name)).then((found) =>
        createRegistry([found]).scheme(scheme).value.load(),
      );
      codecs.set(key, codec);
    }
    return codec;
  };
}
