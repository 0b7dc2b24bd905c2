// A workspace of its own in a temporary folder, without web server or pushd:
// programs are run as plain CGI, and the worker as a child.  For tests of what
// happens between the platforms and the database.
import { spawn, execFile } from 'node:child_process';
import { mkdtemp, rm, readFile, writeFile, appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createHash } from 'node:crypto';
import { cgi, params } from './fcgi.js';

const run = promisify(execFile);
const build = resolve(process.env.PARLEY_BUILD ?? 'build');
const www = fileURLToPath(new URL('../../../www', import.meta.url));
const samples = new URL('../../samples/', import.meta.url);

// Of a worker: an answer that a stall of the machine delays is not lost, and who
// stalls is not dead.  Tests of what is lost or dead set less, for it alone.
export const PATIENT = { platform_total_ms: 20_000, delivery_lease_ms: 60_000 };

export const pause = (ms) => new Promise((go) => setTimeout(go, ms));

// A sample's exact bytes.
export const sample = (name) => readFile(new URL(name, samples));
export const sampleJson = async (name) => JSON.parse(await sample(name));

// Asks `what` again and again until it is true.
export async function until(what, ms = 60000, text = String(what)) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await what();
    if (got)
      return got;
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${text}`);
    await pause(30);
  }
}

export class Shop {
  // settings: lines of parley.conf.
  static async open(settings = {}) {
    const shop = new Shop();
    shop.dir = await mkdtemp(join(tmpdir(), 'parley-shop-'));
    shop.conf = join(shop.dir, 'parley.conf');
    shop.db = join(shop.dir, 'parley.db');
    shop.workers = [];
    await shop.parley('init');
    await appendFile(shop.conf, Object.entries({ limits: 'off', synchronous: 'normal',
      webhook_wait_ms_max: 10000, fetch_networks: '127.0.0.1', ...settings })
      .map(([k, v]) => `${k} = ${v}\n`).join(''));
    return shop;
  }

  // parley COMMAND …: what it prints.
  async parley(...args) {
    const said = run(join(build, 'parley'), [...args, '--conf', this.conf],
      { timeout: 60000, env: { ...process.env, PARLEY_WWW_DIR: www } });
    said.child.stdin.on('error', () => {}); // most commands read nothing
    said.child.stdin.end('a long pass phrase\n');
    return (await said).stdout;
  }

  async close() {
    for (const w of this.workers)
      w.kill('SIGKILL');
    await Promise.all(this.workers.map((w) => w.ended));
    await rm(this.dir, { recursive: true, force: true });
  }

  // Changes settings given to open, for what starts from now on.
  async set(settings) {
    let text = await readFile(this.conf, 'utf8');
    for (const [k, v] of Object.entries(settings))
      text = text.replace(new RegExp(`^${k} = .*$`, 'm'), `${k} = ${v}`);
    await writeFile(this.conf, text);
  }

  // Rows of the database, read only.
  async sql(query) {
    const { stdout } = await run('sqlite3', ['-readonly', '-json',
      '-cmd', '.timeout 20000', this.db, query]);
    return stdout.trim() === '' ? [] : JSON.parse(stdout);
  }

  async one(query) {
    const rows = await this.sql(query);
    return rows.length ? Object.values(rows[0])[0] : undefined;
  }

  // A request to one of the programs.
  call(program, method, url, { body, headers = {}, addr } = {}) {
    const bytes = Buffer.isBuffer(body) ? body
      : body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const all = { ...(bytes && !Buffer.isBuffer(body)
      ? { 'Content-Type': 'application/json' } : {}), ...headers };
    return cgi(join(build, program), params(method, url, { headers: all,
      body: bytes, addr, extra: { PARLEY_CONF: this.conf } }), bytes);
  }

  // Connects an account: the channel's number.
  async connect(platform, settings, name = 'Shop') {
    const said = await this.parley('channel', 'add', '--platform', platform,
      '--name', name, ...Object.entries(settings)
        .flatMap(([k, v]) => ['--set', `${k}=${v}`]));
    return said.match(/^channel (\d+)/m)[1];
  }

  // Connects a Zalo account, that of the samples unless told otherwise.
  async zalo(url, more = {}) {
    const { accounts } = await sampleJson('signatures.json');
    const { channel, ...account } = accounts.zalo;
    this.account = { ...account, zalo_api_base: url, zalo_oauth_base: url,
      ...more };
    this.channel = await this.connect(channel, this.account, 'Shop OA');
    return this.channel;
  }

  // What the platform posts: an object or exact bytes, well signed unless
  // `signature` says otherwise (null: none).
  hook(event, { signature, path, addr, method = 'POST' } = {}) {
    const body = Buffer.isBuffer(event) ? event
      : Buffer.from(JSON.stringify(event));
    const sig = signature === undefined ? this.sign(body) : signature;
    return this.call('webhook.fcgi', method,
      path ?? `/webhooks/zalo/${this.channel}`, { body, addr,
        headers: sig === null ? {} : { 'X-ZEvent-Signature': sig } });
  }

  sign(body) {
    const { timestamp } = JSON.parse(body);
    return 'mac=' + createHash('sha256').update(this.account.app_id)
      .update(body).update(String(timestamp)).update(this.account.oa_secret)
      .digest('hex');
  }

  // A customer writes.
  async customerSays(user, text, more = {}) {
    const id = `in${this.n = (this.n ?? 0) + 1}`;
    const got = await this.hook({ app_id: this.account.app_id,
      sender: { id: user }, recipient: { id: this.account.oa_id },
      event_name: 'user_send_text', message: { msg_id: id, text, ...more },
      timestamp: String(Date.now()) });
    if (got.status !== 200)
      throw new Error(`webhook: ${got.status}`);
    return id;
  }

  // The platform echoes something that the account sent.
  echo(user, id, text, admin) {
    return this.hook({ app_id: this.account.app_id,
      sender: { id: this.account.oa_id, ...(admin && { admin_id: admin }) },
      recipient: { id: user }, event_name: 'oa_send_text',
      message: { msg_id: id, text }, timestamp: String(Date.now()) });
  }

  receipt(user, kind, ids) {
    return this.hook({ app_id: this.account.app_id,
      sender: { id: user }, recipient: { id: this.account.oa_id },
      event_name: kind, message: { msg_ids: ids },
      timestamp: String(Date.now()) });
  }

  // An agent answers in the conversation with that customer.
  async agentSays(user, content, more = {}) {
    if (this.agent === undefined) {
      await this.parley('user', 'add', '--email', 'an@shop.example',
        '--name', 'An', '--role', 'admin');
      this.agent = (await this.parley('token', '--user', 'an@shop.example'))
        .trim();
    }
    const c = await this.conversation(user);
    const got = await this.call('api.fcgi', 'POST',
      `/api/conversations/${c}/messages`, { body: { content,
        client_id: `c${this.n = (this.n ?? 0) + 1}`, ...more },
      headers: { Authorization: `Bearer ${this.agent}` } });
    if (got.status !== 201)
      throw new Error(`message: ${got.status} ${got.text}`);
    return (got.json.message ?? got.json).id;
  }

  conversation(user) {
    return this.one(`SELECT id FROM conversations
      WHERE external_id = '${user}'`);
  }

  // The worker; `once` resolves when it ended.
  worker(...args) {
    const child = spawn(join(build, 'parley'),
      ['work', ...args, '--conf', this.conf],
      { stdio: ['ignore', 'ignore', process.env.PARLEY_LOG ? 'inherit' : 'ignore'] });
    child.ended = new Promise((go) => child.once('exit', (code, sig) =>
      go(sig ?? code)));
    this.workers.push(child);
    return child;
  }

  // Messages as the database has them, in the order they are shown.
  messages(where = '1') {
    return this.sql(`SELECT m.*, c.external_id AS conversation
      FROM messages m JOIN conversations c ON c.id = m.conversation_id
      WHERE ${where} ORDER BY m.sort_at, m.id`);
  }

  async status(id) {
    return this.one(`SELECT status FROM messages WHERE id = ${id}`);
  }

  reaches(id, status, ms = 60000) {
    return until(async () => await this.status(id) === status, ms,
      `message ${id} is ${status}`);
  }
}
