-- 003: files of messages, and those of platforms that are still to be fetched.

-- A file below media_dir.  Without a message it is an upload that waits for
-- one; who uploaded it may look at it, nobody else.
CREATE TABLE attachments(
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  path          TEXT NOT NULL UNIQUE,    -- its name there: random
  mime          TEXT NOT NULL,           -- by its content
  size          INTEGER NOT NULL,        -- bytes
  name          TEXT NOT NULL,           -- for people, cleaned
  width         INTEGER,                 -- of an image
  height        INTEGER,
  sha256        TEXT NOT NULL,           -- hex
  owner_kind    TEXT NOT NULL CHECK(owner_kind IN ('agent','customer','system')),
  owner_id      INTEGER NOT NULL,        -- users.id, customers.id; 0: the system
  message_id    INTEGER REFERENCES messages ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX attachments_message ON attachments(message_id) WHERE message_id IS NOT NULL;
CREATE INDEX attachments_unused ON attachments(created_at) WHERE message_id IS NULL;
CREATE INDEX attachments_owner ON attachments(owner_kind, owner_id, created_at, size);

-- All of them together, kept by the triggers below.
CREATE TABLE media_total(
  files         INTEGER NOT NULL,
  bytes         INTEGER NOT NULL
) STRICT;
INSERT INTO media_total VALUES (0, 0);

-- Files whose row is gone: the worker removes them.
CREATE TABLE media_gone(
  path          TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TRIGGER attachments_added AFTER INSERT ON attachments BEGIN
  UPDATE media_total SET files = files + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER attachments_removed AFTER DELETE ON attachments BEGIN
  UPDATE media_total SET files = files - 1, bytes = bytes - old.size;
  INSERT OR IGNORE INTO media_gone(path) VALUES (old.path);
END;

-- What a customer sent on a platform, until it is here.
CREATE TABLE media_fetches(
  message_id    INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
  channel_id    INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
  url           TEXT,                    -- where it lies; NULL: it must be asked for
  ref           TEXT,                    -- the platform's handle to ask by
  tries         INTEGER NOT NULL DEFAULT 0,
  due_at        INTEGER NOT NULL,
  lease_by      TEXT,
  lease_until   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX media_fetches_due ON media_fetches(channel_id, due_at, message_id);
