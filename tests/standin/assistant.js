// A stand-in for a chat endpoint of the OpenAI form, strict: Bearer key, a
// model, messages that begin with the system's and end with the user's, no
// streaming, no member that we have no reason to send.
//
//   node tests/standin/assistant.js [--port 4000] [--key …]
//
// It answers "echo: …" with what the user said last. Scripts (lib.js): name
// `chat`; {error: status, message} refuses as the platform does.
import { Standin, asProgram, must, parse, reply } from './lib.js';

export const startAssistant = (options = {}) => new Assistant(options).listen(options.port);

class Assistant extends Standin {
  constructor({ key = 'sk-sample', model = 'sample-1' } = {}) {
    super();
    Object.assign(this, { key, model });
    this.say = []; // what the next ones are answered, each once
  }

  route(method, path) {
    return method === 'POST' && path === '/v1/chat/completions' ? 'chat' : undefined;
  }

  refusal(message) {
    return reply(400, { error: { message, type: 'invalid_request_error' } });
  }

  scripted({ error, message = 'scripted' }) {
    return reply(error, { error: { message } });
  }

  check(name, rq, url, body) {
    const h = rq.headers;
    must(url.search === '', 'no query');
    must(h['content-type'] === 'application/json', 'Content-Type');
    must(h.authorization === `Bearer ${this.key}`, 'Authorization');
    const o = parse(body.toString());
    for (const key of Object.keys(o))
      must(['model', 'messages', 'stream', 'max_tokens'].includes(key), `member ${key}`);
    must(o.model === this.model, 'model');
    must(o.stream === false, 'stream');
    must(o.max_tokens === undefined || o.max_tokens > 0, 'max_tokens');
    must(Array.isArray(o.messages) && o.messages.length >= 2, 'messages');
    for (const [i, m] of o.messages.entries()) {
      must(Object.keys(m).join() === 'role,content', 'members of a message');
      must(typeof m.content === 'string' && m.content !== '', 'content');
      must(i === 0 ? m.role === 'system' : ['user', 'assistant'].includes(m.role), 'role');
    }
    must(o.messages.at(-1).role === 'user', 'the user speaks last');
    return o;
  }

  act(name, o) {
    const content = this.say.shift() ?? `echo: ${o.messages.at(-1).content}`;
    return { id: `chatcmpl-${this.next()}`, object: 'chat.completion', model: this.model,
      created: Math.floor(Date.now() / 1000),
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 } };
  }
}

await asProgram(import.meta, 4000, startAssistant);
