// pushd alone in one of its modes for conformance suites, in a folder of its
// own; for raw() it looks like a workspace.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, freePort, until } from './harness.js';
import { raw } from './raw.js';

export async function alone(mode, env = {}) {
	const dir = mkdtempSync(join(tmpdir(), 'parley-alone-'));
	const at = `127.0.0.1:${await freePort()}`;
	const child = spawn(join(build, 'pushd'), [mode, '--listen', at],
		{ cwd: dir, stdio: ['ignore', 'ignore', process.env.PARLEY_KEEP ? 2 : 'ignore'],
			env: { ...process.env, PARLEY_CONF: '', ...env } });
	const exited = new Promise((ok) => child.on('exit', (code, sig) => ok(code ?? sig)));
	const p = { var: dir, setting: () => at, pid: child.pid, url: `http://${at}` };
	p.stop = async (signal = 'SIGTERM') => {
		child.kill(signal);
		const code = await exited;
		rmSync(dir, { recursive: true });
		return code;
	};
	await until(() => raw(p).then((c) => (c.close(), true), () => false), undefined, 'pushd');
	return p;
}
