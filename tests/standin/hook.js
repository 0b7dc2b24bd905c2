// A stand-in for an integrator's program that takes outgoing webhooks, strict:
// the form of the request, a time of now, the signature over time and body, and
// one body an id. Scripts (lib.js) go by the conversation's id, or by the type of
// an event that is of none.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Standin, must, parse, reply, same } from './lib.js';

export const startHook = (options = {}) => new Hook(options).listen(options.port);

class Hook extends Standin {
  constructor({ secrets = [] } = {}) {
    super();
    this.secrets = secrets;  // one of them signs
    this.bodies = new Map(); // id: the body it came with
    this.events = [];        // accepted, each id once
  }

  route(method, path) {
    return method === 'POST' && path === '/hook' ? 'event' : undefined;
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(h['content-type'] === 'application/json', 'Content-Type');
    must(h.authorization === undefined, 'no Authorization');
    must(/^parley\//.test(h['user-agent']), 'User-Agent');
    const time = h['x-parley-timestamp'];
    must(/^\d{10}$/.test(time), 'X-Parley-Timestamp');
    must(Math.abs(Date.now() / 1000 - time) <= 60, 'a time of now');
    const got = Buffer.from(String(h['x-parley-signature']));
    must(this.secrets.some((secret) => {
      const want = Buffer.from('v1=' + createHmac('sha256', secret)
        .update(`${time}.`).update(body).digest('hex'));
      return got.length === want.length && timingSafeEqual(got, want);
    }), 'X-Parley-Signature');
    const text = body.toString();
    must(Buffer.from(text).equals(body), 'UTF-8');
    const e = parse(text);
    same(Object.keys(e), ['id', 'type', 'timestamp', 'data']);
    must(h['x-parley-event-id'] === e.id, 'X-Parley-Event-Id');
    must(h['x-parley-event'] === e.type, 'X-Parley-Event');
    if (e.type !== 'webhook_test') {
      must((this.bodies.get(e.id) ?? text) === text, 'the same id for another body');
      must(String(e.timestamp) === e.id, 'timestamp');
    }
    this.bodies.set(e.id, text);
    return e;
  }

  act(name, e) {
    if (!this.events.some((x) => x.id === e.id))
      this.events.push(e);
    return { taken: e.id };
  }

  scriptOf(name, e) {
    return e.data.conversation_id ?? e.type;
  }

  refusal(text) {
    return reply(400, { error: text });
  }

  // Texts of the messages that were accepted, of one conversation.
  texts(conversation) {
    return this.events.filter((e) => e.type === 'new_message' &&
      (conversation === undefined || e.data.conversation_id === conversation))
      .map((e) => e.data.content);
  }

  // How often each id came.
  times(id) {
    return this.calls.filter((c) => c.body.id === id).length;
  }
}
