// The FastCGI programs with nothing in front: a workspace, one process of each
// program under spawn-fcgi, and requests straight to their sockets. Also the
// same programs as plain CGI.

import { spawn, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, made, start, until } from './harness.js';
import { params, fcgi, cgi } from './fcgi.js';

// The routes of api.fcgi, poll.fcgi and media.fcgi, as the programs' own tables have them:
// [{program, method, path, who}].
export function routes() {
  return execFileSync(made(join(build, 'unit', 'test_api')), ['--list'], { encoding: 'utf8' }).trim()
    .split('\n').map((line) => {
      const [program, method, path, who] = line.split(' ');
      return { program, method, path, who };
    });
}

/*
 * box({env, conf, programs}): resolves when they answer.
 *   env       for the programs, e.g. {PARLEY_LIMITS: 'off'} (the default)
 *   programs  ['api', 'poll']; 'media' answers for files
 */
export async function box({ env = { PARLEY_LIMITS: 'off' }, conf = {},
  programs = ['api', 'poll'] } = {}) {
  const p = await start({ mode: 'none', demo: false, env, conf });
  const b = new Box(p, env);
  try {
    for (const name of programs)
      await b.run(name);
  } catch (e) {
    await b.stop();
    throw e;
  }
  return b;
}

export class Box {
  constructor(p, env) {
    this.p = p;
    this.env = env;
    this.children = new Map();
    this.internal = p.setting('internal_key');
  }

  socket(name) {
    return join(this.p.var, 'run', `t-${name}.sock`);
  }

  async run(name) {
    const child = spawn('spawn-fcgi', ['-n', '-s', this.socket(name), '--',
      join(build, `${name}.fcgi`), '--conf', this.p.conf],
    { env: { ...process.env, ...this.env }, stdio: ['ignore', 'inherit', 'inherit'] });
    child.ended = new Promise((r) => child.on('exit', (code, sig) => r(code ?? sig)));
    this.children.set(name, child);
    await until(() => existsSync(this.socket(name)), undefined, `${name}.fcgi`);
  }

  async stop() {
    for (const child of this.children.values()) {
      child.kill('SIGTERM');
      await child.ended;
    }
    await this.p.stop();
  }

  // Kilobytes of a program's own memory, and its open descriptors.
  memory(name) {
    const text = readFileSync(`/proc/${this.children.get(name).pid}/status`, 'utf8');
    return Number(/^RssAnon:\s+(\d+)/m.exec(text)[1]);
  }

  // One request; `who` is somebody with a token, or nothing.
  request(method, url, { who, body, headers = {}, addr, extra, as = 'fcgi',
    program } = {}) {
    const name = program ??
      (/^\/api(\/api)?\/events\/(long)?poll/.test(url) ? 'poll' :
        /^\/(api\/uploads|media\/)/.test(url) ? 'media' : 'api');
    const h = { ...headers };
    let data = body;
    if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) {
      data = JSON.stringify(body);
      h['content-type'] ??= 'application/json';
    }
    if (data !== undefined)
      data = Buffer.from(data);
    if (who?.token)
      h.authorization ??= `Bearer ${who.token}`;
    for (const k of Object.keys(h))
      if (h[k] === undefined)
        delete h[k];
    const env = params(method, url, { headers: h, body: data, addr, extra });
    if (as === 'fcgi')
      return fcgi(this.socket(name), env, data);
    return cgi(join(build, `${name}.fcgi`),
      { ...this.env, PARLEY_CONF: this.p.conf, ...env }, data);
  }

  // As pushd asks.
  ask(method, url, body, extra = {}) {
    return this.request(method, url,
      { body, extra: { PARLEY_INTERNAL: this.internal, ...extra } });
  }

  // A user with a token: {id, email, password, token}.
  async user(name, role = 'agent') {
    const email = `${name.toLowerCase()}@example.com`;
    const password = `secret of ${name}`;
    const out = await this.p.cli('user', 'add', '--email', email, '--name', name,
      '--role', role, { input: `${password}\n` });
    const token = (await this.p.cli('token', '--user', email)).trim();
    return { id: /^user (\d+)/m.exec(out)[1], name, email, password, token };
  }

  // A customer as the widget makes one: {id, conversation, token, resume}.
  async customer(name) {
    const r = await this.request('POST', '/api/widget/session', { body: { name } });
    if (r.status !== 201)
      throw new Error(`widget session: ${r.status} ${r.text}`);
    return { id: r.json.customer.id, conversation: r.json.conversation.id,
      token: r.json.token, name, resume: r.json.resume_url.split('/').pop(),
      cursor: r.headers['x-event-cursor'] };
  }
}
