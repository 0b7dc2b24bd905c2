-- 001: everything a fresh installation starts with.
--
-- Forward only: what has been released is never edited, a change is the next
-- number.  PRAGMA user_version holds the number of the newest step applied.
-- Times (*_at, *_until) are milliseconds since 1970, UTC.  Ids that leave the
-- house in tokens or links are AUTOINCREMENT, so that none is ever used twice.

-- People who answer: agents and admins.
CREATE TABLE users(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  email         TEXT NOT NULL COLLATE NOCASE UNIQUE, -- the log-in name
  name          TEXT NOT NULL,
  role          TEXT NOT NULL CHECK(role IN ('admin','agent')),
  password      TEXT,                    -- Argon2id string; NULL: cannot log in by password
  locale        TEXT NOT NULL DEFAULT '',-- '': the browser's choice
  avatar_url    TEXT,
  last_seen_at  INTEGER,
  disabled_at   INTEGER,                 -- not NULL: no log-in, no session counts
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX users_admins ON users(role) WHERE role = 'admin' AND disabled_at IS NULL;

-- What a user shows of itself.  One row a user, made when first needed.
CREATE TABLE user_presence(
  user_id       INTEGER PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  status        TEXT NOT NULL CHECK(status IN ('online','away','busy','offline')),
  chosen        TEXT NOT NULL DEFAULT 'online', -- what it wants to be when connected
  text          TEXT,                    -- own words
  connected     INTEGER NOT NULL DEFAULT 0, -- 1: holds a stream
  updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX user_presence_here ON user_presence(user_id) WHERE status <> 'offline';

CREATE TABLE teams(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  name          TEXT NOT NULL UNIQUE,
  created_at    INTEGER NOT NULL
) STRICT;
CREATE TABLE team_members(
  team_id       INTEGER NOT NULL REFERENCES teams ON DELETE CASCADE,
  user_id       INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
  PRIMARY KEY(user_id, team_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX team_members_team ON team_members(team_id);

-- A platform account, or a place on the web where customers write.
CREATE TABLE channels(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  platform      TEXT NOT NULL CHECK(platform IN
                  ('web','facebook','instagram','whatsapp','zalo','tiktok',
                  'line','telegram','custom')),
  name          TEXT NOT NULL,
  account       TEXT,                    -- our own id there (page, OA, bot)
  config        TEXT NOT NULL DEFAULT '{}', -- JSON object, may be shown
  secrets       TEXT NOT NULL DEFAULT '{}', -- JSON object, write-only
  state         TEXT NOT NULL DEFAULT 'ok' CHECK(state IN ('ok','reauth','off')),
  state_text    TEXT,                    -- why it is not ok
  lease_by      TEXT,                    -- who refreshes the token now
  lease_until   INTEGER NOT NULL DEFAULT 0,
  hold_until    INTEGER NOT NULL DEFAULT 0, -- the platform asked for a pause: nothing goes out before
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  deleted_at    INTEGER,
  UNIQUE(platform, account)
) STRICT;

CREATE INDEX channels_ok ON channels(id) WHERE state = 'ok' AND deleted_at IS NULL;
CREATE INDEX channels_gone ON channels(id) WHERE deleted_at IS NOT NULL;

-- How a channel fares, past what its webhooks and deliveries tell.
CREATE TABLE channel_health(
  channel_id    INTEGER PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
  refused       INTEGER NOT NULL DEFAULT 0, -- webhooks refused, about: a flood is not counted
  refused_at    INTEGER,                 -- newest of those, to the minute
  refused_why   TEXT,                    -- 'bad_signature', ...
  error_at      INTEGER,                 -- newest try that failed
  error         TEXT,                    -- the platform's words, cleaned
  told          TEXT,                    -- cause that agents were told of last
  test          TEXT CHECK(test IN ('wanted','running','done')),
  test_at       INTEGER,                 -- wanted, begun or done then
  test_result   TEXT                     -- JSON, when done
) STRICT;
CREATE INDEX channel_health_test ON channel_health(channel_id) WHERE test = 'wanted';

-- People who ask.
CREATE TABLE customers(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  name          TEXT NOT NULL DEFAULT '',-- a claim, like phone and email
  phone         TEXT,
  email         TEXT,
  locale        TEXT NOT NULL DEFAULT '',
  avatar_url    TEXT,
  attributes    TEXT NOT NULL DEFAULT '{}', -- JSON object
  notes         TEXT,                    -- for agents only
  status        TEXT NOT NULL DEFAULT 'offline' CHECK(status IN ('online','offline')),
  connected     INTEGER NOT NULL DEFAULT 0, -- 1: holds a stream
  fold          TEXT NOT NULL DEFAULT '',-- name, phone, email folded for searching
  last_seen_at  INTEGER,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  profiled_at   INTEGER,                 -- when a platform was asked for the name
  profile_due   INTEGER NOT NULL DEFAULT 0, -- it is not asked before
  merged_into   INTEGER REFERENCES customers,
  deleted_at    INTEGER                  -- not NULL: gone for everybody
) STRICT;
CREATE INDEX customers_updated ON customers(updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX customers_here ON customers(last_seen_at) WHERE status <> 'offline';
CREATE INDEX customers_bare ON customers(profile_due, id DESC)
  WHERE name = '' AND deleted_at IS NULL AND profiled_at IS NULL;
CREATE INDEX customers_merged ON customers(merged_into) WHERE merged_into IS NOT NULL;

-- Who a customer is on a channel.
CREATE TABLE customer_identities(
  channel_id    INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
  external_id   TEXT NOT NULL,           -- the platform's id of the person
  customer_id   INTEGER NOT NULL REFERENCES customers ON DELETE CASCADE,
  followed_at   INTEGER,                 -- newest follow
  unfollowed_at INTEGER,                 -- not NULL: sending is expected to fail
  created_at    INTEGER NOT NULL,
  PRIMARY KEY(channel_id, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX customer_identities_customer ON customer_identities(customer_id);

CREATE TABLE tags(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  name          TEXT NOT NULL COLLATE NOCASE UNIQUE,
  colour        TEXT,
  created_at    INTEGER NOT NULL
) STRICT;

-- A thread: of a customer, of two users (direct), of many (group).
CREATE TABLE conversations(
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  type            TEXT NOT NULL CHECK(type IN ('customer','direct','group')),
  channel_id      INTEGER REFERENCES channels,
  external_id     TEXT,                  -- the platform's id of the thread
  customer_id     INTEGER REFERENCES customers,
  pair            TEXT UNIQUE,           -- direct: 'smaller:larger' user id
  subject         TEXT,
  status          TEXT NOT NULL DEFAULT 'open' CHECK(status IN
                    ('open','pending','snoozed','closed')),
  snoozed_until   INTEGER,
  priority        INTEGER NOT NULL DEFAULT 0, -- -1 low, 0 normal, 1 high, 2 urgent
  assignee_id     INTEGER REFERENCES users,
  team_id         INTEGER REFERENCES teams,
  last_message_id INTEGER,               -- newest that is not a note
  activity_at     INTEGER NOT NULL,      -- newest message, else the start; lists sort by it
  last_inbound_at INTEGER,               -- newest word of the customer: reply windows
  sent_since      INTEGER NOT NULL DEFAULT 0, -- our messages after that one
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  merged_into     INTEGER REFERENCES conversations,
  CHECK((type = 'customer') = (customer_id IS NOT NULL))
) STRICT;
CREATE INDEX conversations_inbox ON conversations(activity_at, id)
  WHERE merged_into IS NULL;
CREATE INDEX conversations_status ON conversations(status, activity_at, id)
  WHERE merged_into IS NULL;
CREATE INDEX conversations_customer ON conversations(customer_id, activity_at, id);
CREATE INDEX conversations_assignee ON conversations(assignee_id, activity_at, id);
CREATE INDEX conversations_team ON conversations(team_id, activity_at, id);
CREATE INDEX conversations_channel ON conversations(channel_id, activity_at, id);
CREATE INDEX conversations_external ON conversations(channel_id, external_id)
  WHERE external_id IS NOT NULL;
CREATE INDEX conversations_merged ON conversations(merged_into)
  WHERE merged_into IS NOT NULL;
CREATE INDEX conversations_snoozed ON conversations(snoozed_until)
  WHERE status = 'snoozed';

CREATE TABLE conversation_tags(
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  tag_id          INTEGER NOT NULL REFERENCES tags ON DELETE CASCADE,
  PRIMARY KEY(conversation_id, tag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversation_tags_tag ON conversation_tags(tag_id, conversation_id);
CREATE TABLE customer_tags(
  customer_id     INTEGER NOT NULL REFERENCES customers ON DELETE CASCADE,
  tag_id          INTEGER NOT NULL REFERENCES tags ON DELETE CASCADE,
  PRIMARY KEY(customer_id, tag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX customer_tags_tag ON customer_tags(tag_id, customer_id);

-- Who takes part, and how far each has read.  Agents get a row in a
-- customer's conversation when they first read or write in it; that row gives
-- no right (member = 0), it only keeps the watermark.
CREATE TABLE participants(
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  kind            TEXT NOT NULL CHECK(kind IN ('agent','customer')),
  member_id       INTEGER NOT NULL,      -- users.id or customers.id
  member          INTEGER NOT NULL DEFAULT 0, -- 1: belongs to a direct or group
  read_id         INTEGER NOT NULL DEFAULT 0, -- newest message read; only grows
  read_at         INTEGER,
  joined_at       INTEGER NOT NULL,
  PRIMARY KEY(conversation_id, kind, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_member ON participants(kind, member_id, conversation_id)
  WHERE member = 1;

-- A message's id is the id of its new_message event: it is unique for ever,
-- grows in commit order, and the message comes back with its event's id.
CREATE TABLE messages(
  id              INTEGER PRIMARY KEY,
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  sort_at         INTEGER NOT NULL,      -- id, or the platform's earlier time: shown in this order
  sender_kind     TEXT NOT NULL CHECK(sender_kind IN ('customer','agent','bot','system')),
  sender_id       INTEGER NOT NULL DEFAULT 0, -- customers.id, users.id, bots.id; 0: the system
  type            TEXT NOT NULL CHECK(type IN ('incoming','outgoing','note')),
  kind            TEXT NOT NULL DEFAULT 'text' CHECK(kind IN ('text','image','video',
                    'audio','file','sticker','location','postback','system','unsupported')),
  content         TEXT NOT NULL DEFAULT '',  -- '' too when deleted
  attachments     TEXT,                  -- JSON array as the API shows it; NULL: none
  payload         TEXT,                  -- JSON: postback data, place, media handle; NULL: none
  reply_to        INTEGER,               -- messages.id in the same conversation
  client_id       TEXT,                  -- the sender's own name for it
  body_hash       TEXT,                  -- SHA-256 of what came with that name
  channel_id      INTEGER REFERENCES channels,
  external_id     TEXT,                  -- the platform's id
  inbox_id        INTEGER,               -- webhook_inbox.id it came from
  status          TEXT NOT NULL DEFAULT 'sent' CHECK(status IN
                    ('queued','sending','sent','delivered','read','failed','unknown')),
  error           TEXT,                  -- the platform's words when it failed
  version         INTEGER NOT NULL DEFAULT 0, -- edits so far, or the newest edit's time
  created_at      INTEGER NOT NULL,
  edited_at       INTEGER,
  deleted_at      INTEGER,
  deleted_by      TEXT,                  -- 'agent:5', 'customer:3', 'platform'
  UNIQUE(sender_kind, sender_id, client_id),
  UNIQUE(channel_id, external_id)
) STRICT;
CREATE INDEX messages_conversation ON messages(conversation_id, sort_at, id);
CREATE INDEX messages_newest ON messages(conversation_id, id);
CREATE INDEX messages_inbox ON messages(inbox_id) WHERE inbox_id IS NOT NULL;

-- What a message said before it was edited.  Emptied when it is deleted.
CREATE TABLE message_edits(
  message_id    INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
  version       INTEGER NOT NULL,        -- of the text kept here
  content       TEXT NOT NULL,
  edited_at     INTEGER NOT NULL,        -- when it was replaced
  edited_by     TEXT NOT NULL,           -- 'agent:5', 'customer:3', 'platform'
  PRIMARY KEY(message_id, version)
) STRICT, WITHOUT ROWID;

-- What a platform gave along with a customer's message.
CREATE TABLE message_marks(
  message_id      INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  reply_token     TEXT,                  -- lets one answer go free of charge; NULL: used, or none
  seen_token      TEXT,                  -- lets it be marked as seen
  quote_token     TEXT                   -- lets it be quoted
) STRICT;
CREATE INDEX message_marks_conversation ON message_marks(conversation_id, message_id);

-- Conversations that an agent has read further since their platform was told.
CREATE TABLE seen_marks(
  conversation_id INTEGER PRIMARY KEY REFERENCES conversations ON DELETE CASCADE
) STRICT;

-- Who types, for a few seconds, for those who poll.
CREATE TABLE typing(
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  kind          TEXT NOT NULL,           -- 'agent' or 'customer'
  member_id     INTEGER NOT NULL,
  name          TEXT NOT NULL,
  until_at      INTEGER NOT NULL,
  PRIMARY KEY(conversation_id, kind, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX typing_until ON typing(until_at);

-- Log-ins of users and customers.  The row outlives its end, so that a token
-- is told from one that never was.
CREATE TABLE sessions(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id       INTEGER REFERENCES users ON DELETE CASCADE,
  customer_id   INTEGER REFERENCES customers ON DELETE CASCADE,
  hash          TEXT NOT NULL UNIQUE,    -- SHA-256 of the secret, hex
  csrf          TEXT,                    -- SHA-256 of the CSRF token, where it has one of its own
  via           TEXT NOT NULL,           -- 'cookie', 'bearer', 'widget', 'form', 'cli'
  created_at    INTEGER NOT NULL,
  seen_at       INTEGER NOT NULL,        -- to the minute
  expires_at    INTEGER NOT NULL,        -- whole life
  ended_at      INTEGER,
  CHECK((user_id IS NULL) <> (customer_id IS NULL))
) STRICT;
CREATE INDEX sessions_user ON sessions(user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_customer ON sessions(customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX sessions_expires ON sessions(expires_at);

-- Keys for programs; each acts as its user.
CREATE TABLE api_keys(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id       INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
  name          TEXT NOT NULL,
  hash          TEXT NOT NULL UNIQUE,
  created_at    INTEGER NOT NULL,
  used_at       INTEGER,
  ended_at      INTEGER
) STRICT;
CREATE INDEX api_keys_user ON api_keys(user_id);

-- Links by which a customer comes back to a conversation.
CREATE TABLE resume_links(
  hash          TEXT PRIMARY KEY,        -- SHA-256 of what stands in the link
  customer_id   INTEGER NOT NULL REFERENCES customers ON DELETE CASCADE,
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  ended_at      INTEGER                  -- used up or withdrawn
) STRICT, WITHOUT ROWID;
CREATE INDEX resume_links_customer ON resume_links(customer_id);
CREATE INDEX resume_links_conversation ON resume_links(conversation_id);
CREATE INDEX resume_links_expires ON resume_links(expires_at);

-- First answers to writes that named a key; kept 24 h.
CREATE TABLE idempotency(
  kind          TEXT NOT NULL,           -- 'agent', 'customer', 'form', ...
  owner_id      INTEGER NOT NULL,
  key           TEXT NOT NULL,
  body_hash     TEXT NOT NULL,
  status        INTEGER NOT NULL,        -- HTTP
  answer        TEXT NOT NULL,           -- the body, or a redirect's target
  created_at    INTEGER NOT NULL,
  PRIMARY KEY(kind, owner_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_created ON idempotency(created_at);

-- Webhooks as they came, before anything was made of them.
CREATE TABLE webhook_inbox(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  channel_id    INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
  body_hash     TEXT NOT NULL,           -- SHA-256: the same delivery again
  body          BLOB NOT NULL,           -- emptied when a message from it is deleted
  state         TEXT NOT NULL CHECK(state IN ('new','done','ignored','failed')),
  received_at   INTEGER NOT NULL,
  UNIQUE(channel_id, body_hash)
) STRICT;
CREATE INDEX webhook_inbox_received ON webhook_inbox(received_at);
CREATE INDEX webhook_inbox_channel ON webhook_inbox(channel_id, received_at);
CREATE INDEX webhook_inbox_state ON webhook_inbox(state, id) WHERE state IN ('new','failed');
-- The platform's ids of events that are not messages.
CREATE TABLE webhook_seen(
  channel_id    INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
  key           TEXT NOT NULL,
  seen_at       INTEGER NOT NULL,
  PRIMARY KEY(channel_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_seen_at ON webhook_seen(seen_at);

-- What must go out to a platform; one row a part of a message.
CREATE TABLE deliveries(
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- the N of channels: named to platforms that echo it
  uuid          TEXT NOT NULL UNIQUE,    -- the key that stays the same for all tries
  message_id    INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
  part          INTEGER NOT NULL DEFAULT 0,
  conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
  channel_id    INTEGER NOT NULL REFERENCES channels,
  state         TEXT NOT NULL DEFAULT 'queued' CHECK(state IN
                  ('queued','sending','sent','delivered','read','failed','unknown')),
  tries         INTEGER NOT NULL DEFAULT 0,
  due_at        INTEGER NOT NULL,
  lease_by      TEXT,
  lease_until   INTEGER,                 -- while sending: who holds it, until when
  written_at    INTEGER,                 -- the request left: never queue it again by itself
  external_id   TEXT,                    -- the platform's id of this part
  error         TEXT,
  sent_at       INTEGER,                 -- the platform's time, else ours
  first_at      INTEGER,                 -- first taken up to be sent; from here its content stands
  doubt         INTEGER NOT NULL DEFAULT 0, -- 1: an earlier try may have arrived
  said          TEXT,                    -- mark of what left, until the platform's id of it is known
  once          INTEGER NOT NULL DEFAULT 0, -- 1: it had an answer that is tried again only once
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  UNIQUE(message_id, part)
) STRICT;
CREATE INDEX deliveries_channel ON deliveries(channel_id, due_at, message_id, part)
  WHERE state = 'queued';
CREATE INDEX deliveries_open ON deliveries(conversation_id, message_id, part)
  WHERE state IN ('queued','sending');
CREATE INDEX deliveries_state ON deliveries(state, channel_id)
  WHERE state IN ('queued','sending','failed','unknown');
CREATE INDEX deliveries_lease ON deliveries(lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_said ON deliveries(conversation_id, said) WHERE said IS NOT NULL;
CREATE INDEX deliveries_external ON deliveries(channel_id, external_id);
CREATE INDEX deliveries_sent ON deliveries(channel_id, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX deliveries_conversation ON deliveries(conversation_id, sent_at);

-- The event log.  Its id is the cursor of every client.
CREATE TABLE events(
  id            INTEGER PRIMARY KEY,     -- max(now in ms, last id + 1): the cursor and the time in one
  prev          INTEGER NOT NULL,        -- id of the event before it, read in the same transaction
  type          TEXT NOT NULL,
  data          TEXT NOT NULL,           -- complete: the reader needs no second query
  public        TEXT                     -- customers' form; NULL: never for them; 'true': the same as data
) STRICT;
CREATE TABLE event_rooms(
  room          TEXT NOT NULL,           -- 'message:ID' is nobody's: that message is quoted
  event_id      INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
  PRIMARY KEY(room, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_rooms_event ON event_rooms(event_id);
CREATE TABLE log_lives(
  base          INTEGER PRIMARY KEY,     -- first id it could hand out
  top           INTEGER                  -- newest it did; NULL: the current life
) STRICT;
CREATE TABLE log_state(
  last          INTEGER,                 -- newest id handed out; outlives a purge: no id twice
  floor         INTEGER,                 -- smallest cursor that misses nothing
  epoch         TEXT,                    -- name of the current life
  clean         INTEGER                  -- 1: nothing acknowledged can be missing after a power cut
) STRICT;

-- Small facts: keys with a dot are the programs' own.
CREATE TABLE settings(
  key           TEXT PRIMARY KEY,
  value         TEXT NOT NULL,           -- JSON
  updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what of weight.  Only ever added to.
CREATE TABLE audit_log(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  at            INTEGER NOT NULL,
  who           TEXT NOT NULL,           -- 'agent:5', 'customer:3', 'cli', 'system', '-'
  address       TEXT,
  action        TEXT NOT NULL,           -- 'login', 'login_failed', 'user_add', ...
  object        TEXT,                    -- 'user:5', 'channel:2', ...
  detail        TEXT                     -- JSON, ids only
) STRICT;
CREATE INDEX audit_log_at ON audit_log(at);
