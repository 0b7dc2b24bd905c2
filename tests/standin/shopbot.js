// A stand-in for a program of a shop's own that answers as a bot, strict:
// signature over time and body, a time of now, and nothing that the documents
// do not say.
//
//   node tests/standin/shopbot.js [--port 4000] [--secret …]
//
// It answers {"text": "you said …"}, the same to the same key. Scripts (lib.js):
// name `ask`; {say: object} answers that.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Standin, asProgram, must, parse, reply, same } from './lib.js';

export const startShopbot = (options = {}) => new Shopbot(options).listen(options.port);

class Shopbot extends Standin {
  constructor({ secret = 'shopbot-secret' } = {}) {
    super();
    this.secret = secret;
    this.say = []; // what the next ones are answered, each once
  }

  route(method, path) {
    return method === 'POST' && path === '/bot' ? 'ask' : undefined;
  }

  refusal(message) {
    return reply(400, { error: message });
  }

  scripted({ error }) {
    return reply(error, { error: 'scripted' });
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(h['content-type'] === 'application/json', 'Content-Type');
    must(h.authorization === undefined, 'no Authorization');
    const time = h['x-parley-timestamp'];
    must(/^\d{10}$/.test(time), 'X-Parley-Timestamp');
    must(Math.abs(Date.now() / 1000 - time) <= 300, 'a time of now');
    const want = Buffer.from('v1=' + createHmac('sha256', this.secret)
      .update(`${time}.`).update(body).digest('hex'));
    const got = Buffer.from(String(h['x-parley-signature']));
    must(got.length === want.length && timingSafeEqual(got, want), 'X-Parley-Signature');
    const o = parse(body.toString());
    same(Object.keys(o), ['id', 'bot_id', 'conversation_id', 'message_id', 'text', 'kind',
      'locale', 'created_at', 'history']);
    must(h['idempotency-key'] === o.id, 'Idempotency-Key');
    must(typeof o.text === 'string' && Array.isArray(o.history), 'text, history');
    return o;
  }

  act(name, o) {
    return this.say.shift() ?? { text: `you said ${o.text}` };
  }
}

await asProgram(import.meta, 4000, startShopbot);
