// A task that runs a function it is sent as text, so that each test can say beside its expectations what is done in the
// engine's process.
export default (host, { script, input }) => new Function(`return ${script}`)()(host, input);
