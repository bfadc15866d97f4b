// Judges pairs by node-semver, whose folder is the first argument; the second is
// "loose" or "strict": see ../../reference_test.go.
const [folder, mode] = process.argv.slice(2);
const semver = require(folder);
const options = { loose: mode === 'loose' };
const out = [];
for (const line of require('fs').readFileSync(0, 'utf8').split('\n').slice(0, -1)) {
  const [a, b] = line.split('\t').map((text) => semver.parse(text, options));
  out.push(`${a ? 1 : 0} ${b ? 1 : 0} ${a && b ? a.compare(b) : 0}\n`);
}
process.stdout.write(out.join(''));
