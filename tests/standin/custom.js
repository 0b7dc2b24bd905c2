// A stand-in for a program of a shop's own that takes what Parley posts to
// `custom_out_url`, strict: signature over time and body, a time of now, one
// idempotency key a message, and nothing that the documents do not say.
//
//   node tests/standin/custom.js [--port 4000] [--secret …]
//
// A key that was here gets the first answer again, without a second message.
// Scripts (lib.js): name `message`; {error: status, text} refuses with it.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Standin, asProgram, must, parse, reply } from './lib.js';

const KINDS = ['text', 'image', 'video', 'audio', 'file', 'sticker',
  'location', 'postback'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// "v1=<hex>" as either side makes it.
export const signed = (secret, time, body) => 'v1=' +
  createHmac('sha256', secret).update(`${time}.`).update(body).digest('hex');

export const startCustom = (options = {}) =>
  new Custom(options).listen(options.port);

class Custom extends Standin {
  constructor({ secret = 'custom-sample-secret' } = {}) {
    super();
    this.secret = secret;
    this.keys = new Map();   // idempotency key: the answer it got
    this.bodies = new Map(); // and the body it came with
  }

  route(method) {
    return method === 'POST' ? 'message' : undefined;
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(h['content-type'] === 'application/json', 'Content-Type');
    must(h.authorization === undefined, 'no Authorization');
    const time = h['x-parley-timestamp'];
    must(/^\d{10}$/.test(time), 'X-Parley-Timestamp');
    must(Math.abs(Date.now() / 1000 - time) <= 300, 'a time of now');
    const want = Buffer.from(signed(this.secret, time, body));
    const got = Buffer.from(String(h['x-parley-signature']));
    must(got.length === want.length && timingSafeEqual(got, want),
      'X-Parley-Signature');
    const key = h['idempotency-key'];
    if (body.toString() === '{"type":"ping"}') {
      must(key === undefined, 'a ping is no message');
      return { type: 'ping' };
    }
    must(UUID.test(key), 'Idempotency-Key');
    const text = body.toString();
    must(Buffer.from(text).equals(body), 'UTF-8');
    const o = checkEvent(parse(text));
    must((this.bodies.get(key) ?? text) === text,
      'the same key for another body');
    this.bodies.set(key, text);
    return o;
  }

  act(name, o, rq) {
    if (o.type === 'ping')
      return { ok: true };
    const key = rq.headers['idempotency-key'];
    const known = this.keys.get(key);
    if (known !== undefined)
      return structuredClone(known);
    const answer = { message_id: `cOut${this.next()}` };
    this.keys.set(key, answer);
    this.sent.push({ id: answer.message_id, to: o.conversation_id,
      text: o.message.text, message: o.message, number: o.outbound_id, key });
    return structuredClone(answer);
  }

  refusal(text) {
    return reply(400, { error: text });
  }

  scripted(step) {
    return reply(step.error, { error: step.text ?? 'scripted' });
  }

  unnamed(answer) {
    delete answer.message_id;
  }
}

function only(o, names, what) {
  must(o !== null && typeof o === 'object' && !Array.isArray(o), what);
  for (const key of Object.keys(o))
    must(names.includes(key), `${what}.${key}`);
}

const isText = (v) => typeof v === 'string' && v !== '';

function checkEvent(o) {
  only(o, ['type', 'conversation_id', 'outbound_id', 'message'], 'event');
  must(o.type === 'message', 'type');
  must(isText(o.conversation_id), 'conversation_id');
  must(Number.isSafeInteger(o.outbound_id) && o.outbound_id > 0, 'outbound_id');
  const m = o.message;
  only(m, ['kind', 'text', 'media', 'reply_to', 'quick_replies'], 'message');
  must(KINDS.includes(m.kind), 'kind');
  must(m.text !== undefined || m.media !== undefined, 'content');
  must(m.text === undefined || isText(m.text), 'text');
  must(m.reply_to === undefined || isText(m.reply_to), 'reply_to');
  for (const f of m.media ?? []) {
    only(f, ['url', 'mime', 'name', 'size'], 'media');
    must(/^https:\/\//.test(f.url), 'an https address');
  }
  for (const q of m.quick_replies ?? [])
    only(q, ['title', 'payload'], 'quick_replies');
  return o;
}

await asProgram(import.meta, 4000, startCustom);
