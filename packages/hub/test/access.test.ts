import { expect, test } from "vitest";
import { accessOf } from "../src/index.js";

test("the environment says whom to ask", () => {
  expect(accessOf({})).toEqual({ endpoint: "https://huggingface.co" });
  expect(accessOf({ HF_ENDPOINT: " https://hub.example.org/// ", HF_TOKEN: " hf_secret\n" })).toEqual({
    endpoint: "https://hub.example.org",
    token: "hf_secret",
  });
  expect(accessOf({ HF_ENDPOINT: "", HF_TOKEN: "" })).toEqual({ endpoint: "https://huggingface.co" });
});

test.each(["hub.example.org", "file:///etc", "https://user:secret@hub.example.org", "http://"])(
  "HF_ENDPOINT=%s is none",
  (HF_ENDPOINT) => {
    expect(() => accessOf({ HF_ENDPOINT })).toThrow(
      expect.objectContaining({ code: "E_USAGE", message: "HF_ENDPOINT is not an http(s) address." }),
    );
  },
);

test.each(["hf_a\nb", "hf_ä", "hf a"])("a token that no header can carry is not repeated", (HF_TOKEN) => {
  let message = "";
  try {
    accessOf({ HF_TOKEN });
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toBe("HF_TOKEN holds characters that no token has.");
});
