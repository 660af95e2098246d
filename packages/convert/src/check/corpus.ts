// Texts that tell tokenizers apart: the same ones every time.

const NUMBERS =
  "0 7 42 365 1234 12345 123456 1234567 12345678901234567890 3.14159 -1.5e-10 1,234,567.89 0x1F4A9 1/2 ½ ² ³ ⅓ Ⅳ ٣٤٥ १२३ ๑๒๓ 一二三 10:45 2024-02-29 +1(555)010-9999 100% $5 €10 £3 ¥100";

/** A sentence of every script that many people write, and of some that few do. */
const SCRIPTS = [
  "The quick brown fox jumps over the lazy dog. It's 5 o'clock; I'm sure they'll say we've won, you'd know, she's HERE'S.",
  "I'VE YOU'LL WE'RE HE'D IT'S CAN'T I'M don’t Don'T l'eau d'été o'o 's 'S 't 'LL",
  "camelCase PascalCase SCREAMING_CASE kebab-case XMLHttpRequest iPhone eBay McDonald ABCdefGHI aBcDeF",
  "Les élèves français préfèrent le café crème à l’œuf — déjà vu, naïveté, Ça va?",
  "Größenwahnsinnige Straßenbahnüberführung, Äpfel ÖL ẞ ß",
  "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, ¿añoraba? ¡Sí!",
  "Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy. Őrült írónő",
  "Đây là một câu tiếng Việt với đầy đủ dấu thanh: ắ ằ ẳ ẵ ặ",
  "İstanbul'da ılık bir gün, ŞŞ ğ I ı i İ",
  "Съешь ещё этих мягких французских булок, да выпей же чаю. ЁЖ ЇЖАК Ђорђе",
  "Ο καλός ψαράς τρώει ψάρια· ΆΈΉ ς Σ",
  "Ճանապարհ հայերեն",
  "ქართული ენა Ⴀ ᲐᲑ",
  "שלום עולם, זה טקסט בעברית עם נִקּוּד",
  "مرحبا بالعالم، هذا نص عربي مع تَشْكِيل ١٢٣ لا إله",
  "این یک متن فارسی است می‌خواهم",
  "यह हिन्दी में एक वाक्य है। क्षत्रिय ज्ञान",
  "এটি বাংলায় একটি বাক্য।",
  "ਇਹ ਪੰਜਾਬੀ ਹੈ। આ ગુજરાતી છે. இது தமிழ். ఇది తెలుగు. ಇದು ಕನ್ನಡ. ഇത് മലയാളം. මෙය සිංහල",
  "นี่คือประโยคภาษาไทย ๑๒๓ กำ",
  "ນີ້ແມ່ນພາສາລາວ នេះជាភាសាខ្មែរ ឯកសារ မြန်မာဘာသာ",
  "བོད་ཡིག ཨོཾ་མ་ཎི",
  "这是一个中文句子，包含标点符号。我想在apple工作1314151天～",
  "這是繁體中文「引號」、頓號；冒號：！？《書》",
  "これは日本語の文です。カタカナとひらがな、漢字。ｶﾀｶﾅ ー ゛",
  "이것은 한국어 문장입니다. ㅋㅋㅋ ㅠㅠ 가각힣 각",
  "ᠮᠣᠩᠭᠣᠯ አማርኛ ትግርኛ ᏣᎳᎩ ᓀᐦᐃᔭᐍᐏᐣ ᚠᚢᚦ ⴰⵎⴰⵣⵉⵖ ߒߞߏ",
  "𐌰𐌱𐌲 𐐀𐐨 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𠀀𠜎 𒀀𒁀 𓀀",
];

const EMOJI = [
  "😀😁😂🤣 🙂🙃",
  "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🏴‍☠️ ❤️‍🔥 👁️‍🗨️",
  "🇺🇸🇩🇪🇯🇵 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
  "👍👍🏻👍🏿 ✌🏾",
  "1️⃣2️⃣ #️⃣ *️⃣ ©️®️™️ ☺️☺",
  "text😀text 😀 text",
  "🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) ✅",
  "🫠🪿🩷🫨",
];

const SPACES = [
  " ",
  "  ",
  "   ",
  "    ",
  "\t",
  "\t\t",
  "\n",
  "\n\n",
  "\n\n\n\n",
  "\r\n",
  "\r\n\r\n",
  "\r",
  " \n",
  "\n ",
  " \t\n",
  "a b",
  " a",
  "a ",
  "  a",
  "a  ",
  "a  b",
  "a   b",
  "a\tb",
  "a\t\tb",
  "a\nb",
  "a\n\nb",
  "a \n b",
  "a\r\nb",
  "a \r\n  b",
  "line one\nline two\n\n\nline five\n",
  "trailing spaces   \nnext",
  "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n",
  "a\u00a0b\u2003c\u3000d\u202fe\u205ff\u1680g",
  "a\u200bb\u200cc\u200dd\u2060e\ufefff",
  "a\u0085b\u2028c\u2029d",
  "x\u000by\u000cz",
  `x${" ".repeat(17)}y`,
  `x${" ".repeat(65)}`,
  "\n".repeat(33),
  `${"\t".repeat(9)}end`,
];

const CODE = [
  "def add(a: int, b: int) -> int:\n    return a + b  # sum\n\n\nif __name__ == '__main__':\n\tprint(add(1, 2))\n",
  'fn main() {\n    let x: Vec<&str> = vec!["a", "b"];\n    println!("{:?}", x);\n}\n',
  "const f = async (x) => { await g(x); return x?.y ?? `null`; }; // c\r\n",
  '#include <stdio.h>\nint main(void) { for (int i = 0; i < 10; ++i) printf("%d\\n", i); }\n',
  "SELECT * FROM t WHERE a <> 'b' AND c >= 10 -- x\n;",
  '<div class="a">&nbsp;<!-- c --></div>\n<?xml version="1.0"?>',
  '{"key": [1, 2.5, true, null], "n\\u00e9": "\\n"}',
  "$ ls -la | grep '^d' > /dev/null 2>&1 && echo \"$HOME/$USER\"",
  "\\begin{equation} \\sum_{i=0}^{n} x_i^2 \\leq \\frac{1}{2} \\end{equation}",
  "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\Windows\\System32",
  "a+b-c*d/e%f^g&h|i~j!k=l<m>n?o:p;q,r.s@t#u$v_w`x'y\"z(a)b[c]d{e}",
  "...---...!!!???,,,;;;:::===>>><<<***///\\\\\\___```\"\"\"''''((()))[[[]]]{{{}}}",
  "------======= 3..3 3...3 ==> <== !== === -> => |> ::",
];

const MARKS = [
  "e\u0301 é a\u0308\u0301 ñ n\u0303 o\u0308 ö",
  "Z\u0351\u036b\u0343a\u0329\u0321l\u0348\u0333g\u0320\u031fo\u033b",
  "ﬁ ﬂ ﬀ Ǆ ǅ ǆ ① ㈱ ㎏ ™ ℃ ｆｕｌｌ ｗｉｄｔｈ ！",
  "ʰʲˠ ªº ᵃᵇ ⁰¹²³ ₀₁₂ ℵ ⅇ ℹ",
  "‘single’ “double” „low“ «guillemets» ‹a› – — … • · ¶ § † ‡ ′ ″",
  "∀x∈ℝ: ∃y ≤ ∞ ∑∏∫√ ± × ÷ ≠ ≈ → ← ⇒ ∅ ∩ ∪",
  "░▒▓█ ┌─┐ │ └─┘ ◀▶ ★☆ ♠♥ ♪ ☃",
];

const CONTROLS = [
  "\u0000",
  "a\u0000b",
  "\u0001\u0002\u001f\u007f",
  "\u001b[31mred\u001b[0m",
  "\u0080\u009f",
  "\ufffd \ufffe \uffff",
  "\u202eRTL override\u202c \u200f\u200e",
  "\ue000\uf8ff",
  "\u{10ffff}",
  "\u00ad soft\u00adhyphen",
];

const RUNS = [
  "a".repeat(300),
  "ab".repeat(150),
  "1".repeat(100),
  "!".repeat(100),
  "é".repeat(80),
  "字".repeat(120),
  "😀".repeat(40),
  "Word ".repeat(60),
  "the".repeat(50),
  "-".repeat(70),
];

/** What a fuzzed text is put together from. */
const SNIPPETS = [
  ..." ".repeat(6),
  "  ",
  "\n",
  "\t",
  "\r\n",
  "'s",
  "'LL",
  "the",
  "The",
  "ing",
  "12",
  "3456",
  "é",
  "ß",
  "я",
  "字",
  "か",
  "한",
  "ا",
  "हि",
  "😀",
  "\u0301",
  "\u200d",
  "_",
  "-",
  ".",
  ",",
  "!",
  "(",
  ")",
  "/",
  "#",
  "\u00a0",
  "\u3000",
  "\u2581",
];

/** Texts of one kind, with the name that a report gives it. */
export interface CorpusPart {
  readonly kind: string;
  readonly texts: readonly string[];
}

export interface CorpusOptions {
  /** Texts of tokens of the vocabulary, chosen at random: of `count` tokens, `next` gives numbers from 0 to 1. */
  readonly own?: (count: number, next: () => number) => string;
  /** Spellings of special tokens, to be put inside texts. */
  readonly special?: readonly string[];
  /** How many random texts there are. 200 when absent. */
  readonly random?: number;
}

/** Texts of all kinds. The same options give the same texts. */
export function fuzzCorpus({ special = [], random = 200, own }: CorpusOptions = {}): CorpusPart[] {
  const next = generator(0x2545f491);
  const choose = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const many = <T>(most: number, make: () => T): T[] =>
    Array.from({ length: 1 + Math.floor(next() * most) }, make);
  const everything = [...SCRIPTS, ...EMOJI, ...CODE, ...MARKS];
  return [
    { kind: "empty", texts: [""] },
    { kind: "scripts", texts: SCRIPTS },
    { kind: "numbers", texts: [NUMBERS, ...NUMBERS.split(" "), "a1b22c333d4444e55555", "1 22 333 4444"] },
    { kind: "emoji", texts: EMOJI },
    { kind: "whitespace", texts: SPACES },
    { kind: "code", texts: CODE },
    { kind: "marks and symbols", texts: MARKS },
    { kind: "control characters", texts: CONTROLS },
    { kind: "long runs", texts: RUNS },
    {
      kind: "special tokens",
      texts: special.flatMap((token) => [
        token,
        `${token}Hello`,
        `Hello${token}`,
        `Hello ${token} world`,
        `${token}${token}\n`,
        `a${token.slice(0, -1)} b`,
      ]),
    },
    {
      kind: "own tokens",
      texts:
        own === undefined ? [] : Array.from({ length: random }, () => own(1 + Math.floor(next() * 12), next)),
    },
    {
      kind: "mixed",
      texts: Array.from({ length: random }, () => many(24, () => choose(SNIPPETS)).join("")),
    },
    {
      kind: "cut",
      texts: Array.from({ length: random }, () => {
        const points = [...choose(everything)];
        const start = Math.floor(next() * points.length);
        return points.slice(start, start + 1 + Math.floor(next() * 40)).join("");
      }),
    },
    {
      kind: "random Unicode",
      texts: Array.from({ length: random }, () =>
        many(16, () => String.fromCodePoint(anyCodePoint(next))).join(""),
      ),
    },
    {
      kind: "random ASCII",
      texts: Array.from({ length: random }, () =>
        many(32, () => String.fromCharCode(32 + Math.floor(next() * 95))).join(""),
      ),
    },
  ];
}

/** Assigned or not, but none of the halves of surrogate pairs; most of them of the first planes. */
function anyCodePoint(next: () => number): number {
  const limits = [0x80, 0x250, 0x800, 0x3100, 0x10000, 0x20000, 0x110000];
  const point = Math.floor(next() * limits[Math.floor(next() * limits.length)]!);
  return point >= 0xd800 && point < 0xe000 ? point - 0x800 : point;
}

/** Numbers from 0 to 1 that look random (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
