// Declare tools as @cloudflare/codemode and json-schema-to-typescript do. Arguments: the folder that holds them, a file
// of definitions to read, a file to write: {"<name and version>": {"texts": [one a tool], "seconds": [one a run], "failed": n}}.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, source, target] = process.argv.slice(2);
const RUNS = 3;
// Its entry also imports what only Cloudflare's runtime has; the generator needs none of it.
registerHooks({
  resolve: (name, context, next) =>
    name === "cloudflare:workers" ? { url: "stub:workers", shortCircuit: true } : next(name, context),
  load: (url, context, next) =>
    url === "stub:workers"
      ? { format: "module", source: "export class DurableObject {} export class RpcTarget {} export class WorkerEntrypoint {} export const env = {}; export const exports = {};", shortCircuit: true }
      : next(url, context),
});
const modules = join(folder, "node_modules");
const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"))).version;
const { generateTypesFromJsonSchema } = await import(
  pathToFileURL(join(modules, "@cloudflare/codemode/dist/index.js"))
);
const { compile } = createRequire(join(modules, "x.js"))("json-schema-to-typescript");
const tools = JSON.parse(readFileSync(source));

function codemode(inputsOnly) {
  return (tool) => generateTypesFromJsonSchema({
    [tool.name]: {
      description: tool.description,
      inputSchema: tool.inputSchema,
      ...(inputsOnly || !tool.outputSchema ? {} : { outputSchema: tool.outputSchema }),
    },
  });
}

async function schemas(tool) {
  const options = { bannerComment: "", format: false };
  const texts = [await compile(structuredClone(tool.inputSchema), "Input", options)];
  if (tool.outputSchema) texts.push(await compile(structuredClone(tool.outputSchema), "Output", options));
  return texts.join("\n");
}

async function measured(declare, runs) {
  const found = { texts: [], seconds: [], failed: 0 };
  for (let run = 0; run < runs; run++) {
    found.texts = [];
    found.failed = 0;
    const started = performance.now();
    for (const tool of tools) {
      try {
        found.texts.push(await declare(tool));
      } catch {
        found.failed += 1;
      }
    }
    found.seconds.push((performance.now() - started) / 1000);
  }
  return found;
}

writeFileSync(target, JSON.stringify({
  [`@cloudflare/codemode ${version("@cloudflare/codemode")}`]: await measured(codemode(false), RUNS),
  [`@cloudflare/codemode ${version("@cloudflare/codemode")}, inputs only`]: await measured(codemode(true), RUNS),
  [`json-schema-to-typescript ${version("json-schema-to-typescript")}, schemas only`]: await measured(schemas, 1),
}));
