// The manual says what the programs do: every setting is in it, with its
// default, and nothing that is no setting.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli, root } from './lib/harness.js';

test('docs/configuration.md lists every setting with its default', async () => {
	const text = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
	const rows = new Map([...text.matchAll(/^\| `(\w+)` \|(.*?)\|/gm)]
		.map((m) => [m[1], m[2].replace(/`/g, '').trim()]));
	const keys = new Map();
	for (const m of (await cli(['check', '--keys'])).matchAll(/^(\w+) = (.*)\n\t(.*)$/gm))
		keys.set(m[1], m[2]);
	assert.ok(keys.size > 50);
	for (const [key, dflt] of keys)
		assert.equal(rows.get(key), dflt, `${key}: make docs writes the table anew`);
	for (const key of rows.keys())
		assert.ok(keys.has(key), `${key} is no setting`);
});
