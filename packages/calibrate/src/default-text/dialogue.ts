import type { Bank, Chooser } from "./template.js";

const bank: Bank = {
  opening: [
    "",
    "",
    "",
    "Of course. ",
    "Good question. ",
    "In short: ",
    "I am not certain, but most likely: ",
  ],
  closing: ["", "", "", " Would you like an example?", " Tell me more, and I can go into detail."],
  audience: ["a child of {6-12}", "a colleague", "somebody in a hurry", "my parents", "a beginner"],
};

const answered: readonly (readonly [question: string, answer: string])[] = [
  [
    "Can you explain rainbows to {audience}?",
    "light is bent by drops of water, and each colour a little differently. So they come apart on the way to your eye.",
  ],
  [
    "Why are there two high tides a day?",
    "the moon pulls the water nearest to it more than the earth, and the earth more than the water behind. The earth turns beneath both bulges once a day.",
  ],
  [
    "What is recursion? Explain it to {audience}.",
    "a function that calls itself on a smaller problem. It needs a case in which it does not, or it never ends.",
  ],
  [
    "My program stops after {10-99} steps. What can I do?",
    "check whether the loop changes the value that it tests, and print that value before step {5-9}.",
  ],
  [
    "Give me an idea for dinner with lentils.",
    "fry an onion, add {200-400} g of lentils and some cumin, and wait for {20-40} minutes. Lemon at the end makes it fresh.",
  ],
  [
    "How do I remember names at a party?",
    "say the name aloud once, and connect it with something you can see. Repeat it when you leave.",
  ],
  [
    "What should I check before I buy a used bicycle?",
    "look at the frame first, then the brakes, then the price. Spin both wheels and listen.",
  ],
  ["How do I say “Where is the station?” in German?", "“Wo ist der Bahnhof?” Add “bitte” to be polite."],
  [
    "Write a polite reply that says no to an invitation on {1-28} May.",
    "“Thank you very much for thinking of me. I am away that week, so I cannot come; may I propose the week after?”",
  ],
  [
    "Is a long password better than a complicated one?",
    "yes. Every further character multiplies the work of guessing by the size of the alphabet, while a sign in place of a letter hardly adds anything.",
  ],
  [
    "Should dough rise in a warm or in a cold place?",
    "warm dough is ready in {1-3} hours; cold dough takes {10-20}, but tastes better.",
  ],
  [
    "I have {2-9} hours on Sunday and no plan. What would you do?",
    "walk somewhere you can only reach on foot, and take something to read. If it rains, repair what has been broken for months.",
  ],
  [
    "Who are you?",
    "I am a language model. I can answer questions, write, calculate and help with code; I make mistakes, too.",
  ],
];

const followed: readonly (readonly [question: string, answer: string])[] = [
  ["Thanks, that helps.", "You are welcome."],
  ["Are you sure?", "Fairly sure. It is what most sources say, but I would check it where it matters."],
  [
    "And if that does not work?",
    "Then tell me what happened instead, word for word, and we will look at it together.",
  ],
  [
    "Could you say that in one sentence?",
    "Gladly: begin with the simplest part, and go on only when it works.",
  ],
];

const forms: readonly (readonly [user: string, assistant: string, end: string])[] = [
  ["User: ", "Assistant: ", ""],
  ["### Instruction:\n", "### Response:\n", ""],
  ["<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"],
  ["Q: ", "A: ", ""],
];

/** A question with its answer, and sometimes another. */
export function dialogue(chooser: Chooser): string {
  const [user, assistant, end] = chooser.of(forms);
  const [question, answer] = chooser.of(answered);
  const turns = [chooser.fill(question, bank), chooser.sentence(`{opening}${answer}{closing}`, bank)];
  if (chooser.number(0, 2) === 0) turns.push(...chooser.of(followed));
  return turns.map((turn, i) => `${i % 2 === 0 ? user : assistant}${turn}${end}`).join("\n");
}
