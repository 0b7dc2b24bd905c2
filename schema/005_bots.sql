-- 005: bots, where they answer, and what they have been asked.

CREATE TABLE bots(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  name          TEXT NOT NULL,           -- customers read it
  kind          TEXT NOT NULL CHECK(kind IN ('rules','http','assistant')),
  state         TEXT NOT NULL DEFAULT 'on' CHECK(state IN ('on','off')),
  config        TEXT NOT NULL DEFAULT '{}', -- JSON object, may be shown
  secrets       TEXT NOT NULL DEFAULT '{}', -- JSON object, write-only
  key_hash      TEXT,                    -- SHA-256 of the key it calls with
  calls_max     INTEGER NOT NULL DEFAULT 0, -- questions to its endpoint in a day; 0: any
  tokens_max    INTEGER NOT NULL DEFAULT 0, -- tokens in a day; 0: any
  day           INTEGER NOT NULL DEFAULT 0, -- the day counted, since 1970
  calls         INTEGER NOT NULL DEFAULT 0, -- of that day
  tokens        INTEGER NOT NULL DEFAULT 0,
  error         TEXT,                    -- why it failed last
  error_at      INTEGER,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  deleted_at    INTEGER                  -- its messages keep its name
) STRICT;

-- Where they answer: a channel has one bot at most.
CREATE TABLE bot_channels(
  channel_id    INTEGER PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
  bot_id        INTEGER NOT NULL REFERENCES bots ON DELETE CASCADE
) STRICT;
CREATE INDEX bot_channels_bot ON bot_channels(bot_id);

-- Who speaks in a conversation that a bot has heard of.  The row goes when
-- the customer writes into it after it was closed.
CREATE TABLE bot_conversations(
  conversation_id INTEGER PRIMARY KEY REFERENCES conversations ON DELETE CASCADE,
  bot_id        INTEGER NOT NULL REFERENCES bots ON DELETE CASCADE,
  state         TEXT NOT NULL CHECK(state IN ('active','handed_over')),
  handed_by     TEXT,                    -- 'agent:5', 'bot:1', 'platform'
  handed_at     INTEGER,
  reason        TEXT,                    -- 'agent','assigned','rule','bot','budget','error','loop'
  greeted       INTEGER NOT NULL DEFAULT 0,
  hour          INTEGER NOT NULL DEFAULT 0, -- the hour whose answers are counted
  answers       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX bot_conversations_bot ON bot_conversations(bot_id);

-- What a bot was asked: by a customer's message, or to try it out.
CREATE TABLE bot_asks(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  bot_id        INTEGER NOT NULL REFERENCES bots ON DELETE CASCADE,
  message_id    INTEGER UNIQUE REFERENCES messages ON DELETE CASCADE, -- NULL: tried out
  conversation_id INTEGER REFERENCES conversations ON DELETE CASCADE,
  text          TEXT,                    -- tried out: the question
  state         TEXT NOT NULL DEFAULT 'queued' CHECK(state IN
                  ('queued','asking','later','done','dropped')),
  tries         INTEGER NOT NULL DEFAULT 0,
  due_at        INTEGER NOT NULL,
  lease_by      TEXT,
  lease_until   INTEGER,                 -- while asking: who holds it, until when; later: the answer's time is over then
  answer_id     INTEGER,                 -- the message that answers it
  result        TEXT,                    -- tried out: the answer, JSON
  created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX bot_asks_due ON bot_asks(due_at, id) WHERE state = 'queued';
CREATE INDEX bot_asks_open ON bot_asks(conversation_id, id)
  WHERE state IN ('queued','asking');
CREATE INDEX bot_asks_lease ON bot_asks(lease_until) WHERE state = 'asking';
CREATE INDEX bot_asks_later ON bot_asks(conversation_id, bot_id) WHERE state = 'later';
CREATE INDEX bot_asks_late ON bot_asks(lease_until) WHERE state = 'later';
CREATE INDEX bot_asks_created ON bot_asks(created_at);
CREATE INDEX bot_asks_conversation ON bot_asks(conversation_id);
CREATE INDEX bot_asks_bot ON bot_asks(bot_id);
