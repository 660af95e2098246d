// Names of files come from a repository that anybody may have made: they are used as paths here only after these rules.

/** Parts between slashes, none of which leads elsewhere. Bytes as the hub has them; see `refusedName` for disks. */
export const isPlainPath = (path: string): boolean =>
  path.length <= 1024 &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..") &&
  !/[\\\u0000-\u001f\u007f]/.test(path);

/** Names that Windows gives to devices, with or without an extension. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])(\..*)?$/i;

/**
 * Why a path of the hub cannot be the name of a file here, on any system; undefined where it can.
 * `.partial` is what unfinished files are called.
 */
export function refusedName(path: string): string | undefined {
  if (path.startsWith("/") || /^[A-Za-z]:[/\\]/.test(path)) return "is an absolute path";
  if (/[\u0000-\u001f\u007f]/.test(path)) return "holds a control character";
  if (path.includes("\\")) return "holds a backslash";
  if (path.length > 1024) return "is too long";
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return "leads to another folder";
    if (new TextEncoder().encode(part).length > 200) return "is too long";
    if (/[<>:"|?*]/.test(part)) return "holds a character that not every system allows";
    if (/[. ]$/.test(part)) return "has a part that ends in a dot or a space";
    if (DEVICE.test(part)) return "is the name of a device";
    if (/\.partial$/i.test(part)) return "is what unfinished files are called";
  }
  return undefined;
}

/**
 * Two paths that cannot both be files: equal where upper and lower case are the same, or one a folder of the other.
 */
export function clash(paths: readonly string[]): readonly [string, string] | undefined {
  const files = new Map<string, string>();
  for (const path of paths) {
    const key = fold(path);
    const other = files.get(key);
    if (other !== undefined) return [other, path];
    files.set(key, path);
  }
  for (const path of paths) {
    const parts = path.split("/");
    for (let length = 1; length < parts.length; length++) {
      const folder = files.get(fold(parts.slice(0, length).join("/")));
      if (folder !== undefined) return [folder, path];
    }
  }
  return undefined;
}

const fold = (path: string): string => path.normalize("NFC").toLowerCase();
