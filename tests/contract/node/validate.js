// Compiles every schema of a folder, as strictly as Ajv can, and holds to it each example and each one made wrong.
const fs = require("node:fs");
const path = require("node:path");
const Ajv = require("ajv/dist/2020");
const addFormats = require("ajv-formats");

const read = (...names) => JSON.parse(fs.readFileSync(path.join(...names), "utf8"));
const [folder] = process.argv.slice(2);
const ajv = new Ajv({ strict: true });
addFormats(ajv);
const found = {};
for (const name of fs.readdirSync(folder).filter((each) => each.endsWith(".schema.json"))) {
  found[name.split(".")[0]] = ajv.compile(read(folder, name));
}
const verdicts = {};
for (const name of fs.readdirSync(path.join(folder, "examples"))) {
  const example = read(folder, "examples", name);
  const validate = found[example.channel];
  verdicts[name] = [validate(example), validate({ ...example, tenant: "Acme Inc." })];
}
console.log(JSON.stringify({ schemas: Object.keys(found), verdicts }));
