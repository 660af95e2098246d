import { type ImportanceMatrix, isFewbitError, locate } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { readImportance } from "@fewbit/format-gguf";

/** Reads an importance matrix by its path. @throws `E_IO`, `E_IMATRIX_*`, always naming the file */
export async function openImportance(file: string): Promise<ImportanceMatrix> {
  const source = await openFile(file);
  try {
    return await readImportance(source);
  } catch (error) {
    throw isFewbitError(error) ? locate(error, { file }) : error;
  } finally {
    await source.close();
  }
}
