// A fresh isolate of a Node peer for each program: `_isolate_peer.mjs FOLDER PEER COUNT` prints
// {"version", "samples_s": [...], "cpu_s"}. PEER is a package in FOLDER's node_modules, or "kernels", which runs each
// kernel of the JSON file COUNT in Node itself: {"version", "kernels_s": {name: [...]}}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { runInNewContext } from "node:vm";

const [folder, peer, count] = process.argv.slice(2);
const require = createRequire(resolve(folder, "node_modules", "x.js"));
const PROGRAM = "(async () => await call(1))()";

const expect = (value) => {
  if (value !== 1) throw new Error(`the program came to ${value}`);
};

async function quickjsEmscripten() {
  const quickjs = await require("quickjs-emscripten").getQuickJS();
  return async () => {
    const runtime = quickjs.newRuntime();
    runtime.setMemoryLimit(64 * 2 ** 20);
    const context = runtime.newContext();
    const call = context.newFunction("call", (argument) => {
      const value = context.dump(argument);
      const answer = context.newPromise();
      Promise.resolve(value).then((given) => {
        const handle = context.newNumber(given);
        answer.resolve(handle);
        handle.dispose();
        answer.settled.then(() => runtime.executePendingJobs());
      });
      return answer.handle;
    });
    context.setProp(context.global, "call", call);
    call.dispose();
    const promise = context.unwrapResult(context.evalCode(PROGRAM));
    const resolved = context.resolvePromise(promise);
    promise.dispose();
    runtime.executePendingJobs();
    const result = context.unwrapResult(await resolved);
    expect(context.dump(result));
    result.dispose();
    context.dispose();
    runtime.dispose();
  };
}

async function isolatedVm() {
  const ivm = require("isolated-vm");
  const program = `call => ${PROGRAM.replace("call(1)", "call.apply(undefined, [1], { result: { promise: true } })")}`;
  return async () => {
    const isolate = new ivm.Isolate({ memoryLimit: 64 });
    const context = await isolate.createContext();
    const call = new ivm.Reference(async (value) => value);
    const run = await context.eval(program, { reference: true });
    expect(await run.apply(undefined, [call], { result: { promise: true } }));
    isolate.dispose();
  };
}

async function repeat(once, times) {
  const samples = [];
  const before = Math.floor(times / 10);
  const cpu = process.cpuUsage();
  for (let number = 0; number < times + before; number++) {
    const started = process.hrtime.bigint();
    await once();
    if (number >= before) samples.push(Number(process.hrtime.bigint() - started) / 1e9);
  }
  const used = process.cpuUsage(cpu);
  return { samples_s: samples, cpu_s: ((used.user + used.system) / 1e6) * (times / (times + before)) };
}

if (peer === "kernels") {
  const kernels_s = {};
  for (const [name, text] of Object.entries(JSON.parse(readFileSync(count, "utf8")))) {
    kernels_s[name] = (await repeat(() => runInNewContext(text), 10)).samples_s;
  }
  console.log(JSON.stringify({ version: process.version, kernels_s }));
} else {
  const once = await { "quickjs-emscripten": quickjsEmscripten, "isolated-vm": isolatedVm }[peer]();
  const result = await repeat(once, Number(count));
  console.log(JSON.stringify({ version: JSON.parse(readFileSync(join(folder, "node_modules", peer, "package.json"))).version, ...result }));
  process.exit(0);
}
