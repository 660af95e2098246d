import type { Bank, Chooser } from "./template.js";

const bank: Bank = {
  person: [
    "the baker", "her grandmother", "a retired engineer", "the night nurse", "our neighbour", "the ferry captain",
    "a young violinist", "the mayor", "my brother", "the beekeeper", "an old map maker", "the physics teacher",
    "a tired courier", "the museum guard", "her cousin from the coast", "the chess champion", "a patient gardener",
    "the clerk at the post office", "their landlord", "the carpenter's apprentice",
  ],
  name: ["Mara", "Tobias", "Ines", "Kofi", "Yuki", "Anselm", "Leyla", "Piotr", "Ruth", "Dario", "Noor", "Elias"],
  place: [
    "in the harbour", "behind the railway station", "at the edge of the forest", "on the third floor",
    "in a village near the border", "under the old bridge", "in the reading room", "at the market", "by the lake",
    "in the kitchen of the inn", "on the night train", "in the greenhouse", "across the river", "on the roof",
  ],
  thing: [
    "a brass compass", "the broken lantern", "a letter without a stamp", "three jars of honey", "an umbrella",
    "the key to the cellar", "a bundle of dried herbs", "the second volume", "a wooden flute", "an unfinished map",
    "a basket of pears", "the telescope", "a notebook full of figures", "the recipe for rye bread", "a spare tyre",
  ],
  time: [
    "early in the morning", "on the last day of winter", "at half past four", "during the storm", "after the concert",
    "before anyone else was awake", "on a Tuesday in October", "as soon as the rain stopped", "that same evening",
    "many years later", "shortly before midnight", "while the others were at lunch",
  ],
  did: [
    "found {thing}", "lost {thing}", "carried {thing} home", "was looking for {thing}", "had hidden {thing}",
    "repaired {thing} with a piece of wire", "sold {thing} for less than it was worth", "drew {thing} from memory",
    "gave {thing} to {person}", "asked {person} about {thing}", "refused to talk about {thing}",
  ],
  reason: [
    "because nobody had told them otherwise", "although the doctor had advised against it",
    "in the hope that things would be different this time", "without saying a word", "to everyone's surprise",
    "since there was nothing else to do", "even though it was late", "as if it were the most natural thing",
    "which turned out to be a mistake", "and that was the end of the matter", "for reasons that were never explained",
  ],
  feeling: [
    "tired but content", "uneasy", "strangely calm", "a little ashamed", "delighted", "more curious than afraid",
    "certain of one thing only", "too proud to admit it", "grateful for the silence",
  ],
  field: [
    "chemistry", "agriculture", "navigation", "public health", "linguistics", "astronomy", "accounting", "geology",
    "architecture", "computer science", "meteorology", "law", "music theory", "ecology", "statistics",
  ],
  material: ["glass", "copper", "oak", "clay", "wool", "salt", "steel", "paper", "basalt", "rubber", "silk", "zinc"],
  process: [
    "heating it slowly", "measuring twice", "cooling it in water", "leaving it in the dark", "grinding it to powder",
    "comparing it with a known sample", "dividing it into equal parts", "filtering it through sand",
  ],
  effect: [
    "expands", "becomes brittle", "loses about a tenth of its weight", "changes colour", "conducts heat better",
    "keeps for several months", "absorbs water", "resists acids", "can be bent without breaking",
  ],
  opinion: [
    "The evidence is weaker than it looks", "This is only half of the explanation", "Critics have a point here",
    "Nothing in the records contradicts this", "Whether it applies elsewhere is another question",
    "The cost is usually underestimated", "Opinions differ, and for good reasons", "The exception proves useful",
  ],
  animal: ["heron", "fox", "owl", "salmon", "beetle", "hedgehog", "bat", "lizard", "crane", "otter", "wasp", "mole"],
  plant: ["willow", "nettle", "fern", "juniper", "clover", "moss", "thistle", "alder", "sage", "reed"],
}; // biome-ignore format: lists of words

const story = [
  "{time}, {person} {did} {place}, {reason}.",
  "{person} {did}; {person} {did}.",
  "{name} was {feeling}.",
  "“{question}” asked {name}, and {person} laughed.",
  "Nobody {place} knew that {person} {did} {reason}.",
  "When {name} came back {time}, {person} {did}.",
  "It was {name} who {did}, not {person}.",
  "There had been a time when {person} would have been {feeling}, but {time} everything changed.",
  "If {person} had not {done}, {name} would never have {done}.",
  "{name} counted to {7-90}, opened the door and was {feeling}.",
  "“I have seen {thing} before,” said {person}, “{place}, {2-40} years ago.”",
  "The road went on for {3-60} miles, past the mill and the quarry, and {name} was {feeling}.",
];

const essay = [
  "In {field}, {material} is known for a simple reason: after {process}, it {effect}.",
  "{opinion}.",
  "A common misunderstanding is that {material} {effect} by itself; in truth this takes {process}.",
  "Between 18{10-99} and 19{10-99}, {field} changed more than in the two centuries before.",
  "Suppose we take {2-90} samples of {material}, {2-20} of which have been prepared by {process}.",
  "The first measurement gave {1-9}.{10-99} metres, the second {1-9}.{10-99}; the difference is within the error.",
  "Students of {field} learn early that {process} is no substitute for thinking.",
  "The {animal} feeds at dusk, when the {plant} closes its leaves and the insects come out.",
  "Where {plant} grows, the ground is wet for most of the year, and the {animal} is seldom far away.",
  "There are three objections. First, {material} is expensive. Second, {process} takes time. Third, {field} offers no theory of it.",
  "However, the committee for {field} decided by {5-30} votes to {1-4} that further tests were needed.",
  "For example, a sheet of {material} of {1-9} millimetres {effect} at about {20-900} degrees.",
  "It follows that the result depends on the method as much as on the {material}.",
  "As the report puts it, “{opinion_quoted}, and {field} will have to live with that.”",
];

const extended: Bank = {
  ...bank,
  done: ["found {thing}", "lost {thing}", "hidden {thing}", "left the village", "opened the letter", "told the truth"],
  question: [
    "Where did you leave {thing}?", "Have you ever been {place}?", "Why would anyone want {thing}?",
    "How long does it take?", "Do you remember {person}?", "What happens if we wait?", "Is it far?",
  ],
  opinion_quoted: ["the evidence is weaker than it looks", "the cost is usually underestimated", "opinions differ"],
}; // biome-ignore format: lists of words

const titles: Bank = {
  ...extended,
  title: [
    "On {material} and {field}", "A Short History of {material}", "What the {animal} Knows", "Letters from {name}",
    "Notes on {field}, Part {1-9}", "The {plant} and the {animal}", "Remarks on {process}",
  ],
}; // biome-ignore format: lists of words

const paragraph = (chooser: Chooser, templates: readonly string[], sentences: number): string =>
  Array.from({ length: sentences }, () => chooser.sentence(chooser.of(templates), extended)).join(" ");

/** Some paragraphs of a story, or of an essay with a title. */
export function prose(chooser: Chooser): string {
  if (chooser.number(0, 1) === 0)
    return Array.from({ length: chooser.number(2, 4) }, () =>
      paragraph(chooser, story, chooser.number(3, 7)),
    ).join("\n\n");
  const title = chooser.sentence("{title}", titles);
  return [
    `# ${title}`,
    ...Array.from({ length: chooser.number(2, 4) }, () => paragraph(chooser, essay, chooser.number(3, 6))),
  ].join("\n\n");
}
