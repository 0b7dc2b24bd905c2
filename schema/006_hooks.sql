-- 006: outgoing webhooks: programs of others that are told of events.

CREATE TABLE outgoing_webhooks(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  name          TEXT NOT NULL,
  url           TEXT NOT NULL,
  secret        TEXT NOT NULL,           -- signs what is sent; write-only
  state         TEXT NOT NULL DEFAULT 'on' CHECK(state IN ('on','off')),
  reason        TEXT CHECK(reason IN ('admin','failing','gone')), -- why it is off
  cursor        INTEGER NOT NULL,        -- newest event looked at
  failures      INTEGER NOT NULL DEFAULT 0, -- in a row, of whatever event
  failing_since INTEGER,                 -- when the first of them was
  hold_until    INTEGER NOT NULL DEFAULT 0, -- nothing is sent before
  ok_at         INTEGER,                 -- newest success
  created_by    INTEGER NOT NULL,        -- users.id; 0: the command line
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX outgoing_webhooks_on ON outgoing_webhooks(cursor) WHERE state = 'on';
-- What each wants; 'note' is not an event's type but that of the messages.
CREATE TABLE webhook_types(
  webhook_id    INTEGER NOT NULL REFERENCES outgoing_webhooks ON DELETE CASCADE,
  type          TEXT NOT NULL,
  PRIMARY KEY(webhook_id, type)
) STRICT, WITHOUT ROWID;

-- An event on its way to one of them.  What it says stays in the log alone, so
-- that a message deleted there is deleted here.
CREATE TABLE webhook_sends(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id    INTEGER NOT NULL REFERENCES outgoing_webhooks ON DELETE CASCADE,
  event_id      INTEGER NOT NULL,        -- events.id; 0: a test
  type          TEXT NOT NULL,
  lane          TEXT,                    -- 'conversation:12': one after the other; NULL: by itself
  manual        INTEGER NOT NULL DEFAULT 0, -- 1: a test or a replay, tried once
  state         TEXT NOT NULL CHECK(state IN
                  ('waiting','queued','sending','sent','failed')), -- waiting: for those before it in its lane
  tries         INTEGER NOT NULL DEFAULT 0,
  due_at        INTEGER NOT NULL,
  first_at      INTEGER,                 -- when it was first tried
  lease_by      TEXT,                    -- while sending: who, and until when
  lease_until   INTEGER,
  created_at    INTEGER NOT NULL,
  ended_at      INTEGER                  -- sent or failed
) STRICT;
CREATE INDEX webhook_sends_webhook ON webhook_sends(webhook_id);
CREATE INDEX webhook_sends_due ON webhook_sends(webhook_id, manual, due_at, id)
  WHERE state = 'queued';
CREATE INDEX webhook_sends_lane ON webhook_sends(webhook_id, lane, id)
  WHERE state IN ('waiting','queued','sending');
CREATE INDEX webhook_sends_event ON webhook_sends(event_id);
CREATE INDEX webhook_sends_lease ON webhook_sends(lease_until) WHERE state = 'sending';
CREATE INDEX webhook_sends_ended ON webhook_sends(ended_at) WHERE ended_at IS NOT NULL;

-- Each try, to be looked at.
CREATE TABLE webhook_attempts(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id    INTEGER NOT NULL REFERENCES outgoing_webhooks ON DELETE CASCADE,
  send_id       INTEGER REFERENCES webhook_sends ON DELETE CASCADE, -- NULL: a notice, not a try
  try           INTEGER,                 -- 1 is the first
  at            INTEGER NOT NULL,        -- when it ended
  took_ms       INTEGER,
  status        INTEGER,                 -- HTTP; NULL: no whole answer
  error         TEXT,                    -- a word; NULL: accepted
  detail        TEXT,                    -- why there was no answer
  answer        TEXT                     -- its first characters: a stranger's words
) STRICT;
CREATE INDEX webhook_attempts_webhook ON webhook_attempts(webhook_id, id);
CREATE INDEX webhook_attempts_send ON webhook_attempts(send_id);
CREATE INDEX webhook_attempts_at ON webhook_attempts(at) WHERE send_id IS NULL;

-- How many there were, also those that are forgotten by now.
CREATE TABLE webhook_total(
  one           INTEGER PRIMARY KEY CHECK(one = 0),
  ok            INTEGER NOT NULL,
  failed        INTEGER NOT NULL
) STRICT;
INSERT INTO webhook_total VALUES (0, 0, 0);
CREATE TRIGGER webhook_attempts_counted AFTER INSERT ON webhook_attempts
WHEN new.send_id IS NOT NULL BEGIN
  UPDATE webhook_total SET ok = ok + (new.error IS NULL),
    failed = failed + (new.error IS NOT NULL);
END;

-- What was taken out of the log may have been repeated in an answer.
CREATE TRIGGER webhook_forget AFTER UPDATE OF data ON events BEGIN
  UPDATE webhook_attempts SET answer = NULL WHERE answer IS NOT NULL AND
    send_id IN (SELECT id FROM webhook_sends WHERE event_id = new.id);
END;
