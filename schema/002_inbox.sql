-- Webhooks are stored first and thought about after: those in state 'new' wait
-- for that, in the order of their ids.
ALTER TABLE webhook_inbox ADD COLUMN tries INTEGER NOT NULL DEFAULT 0; -- that failed, or whose program died of it
ALTER TABLE webhook_inbox ADD COLUMN due_at INTEGER; -- failed: tried again then; NULL: not by itself
ALTER TABLE webhook_inbox ADD COLUMN error TEXT;     -- why it failed
ALTER TABLE webhook_inbox ADD COLUMN next_item INTEGER NOT NULL DEFAULT 0; -- new: those before it are done
ALTER TABLE webhook_inbox ADD COLUMN missed INTEGER NOT NULL DEFAULT 0; -- and so many of them could not be stored
ALTER TABLE webhook_inbox ADD COLUMN done_at INTEGER; -- when it was thought about last
DROP INDEX webhook_inbox_state;
CREATE INDEX webhook_inbox_new ON webhook_inbox(id) WHERE state = 'new';
CREATE INDEX webhook_inbox_failed ON webhook_inbox(id) WHERE state = 'failed';
CREATE INDEX webhook_inbox_due ON webhook_inbox(due_at) WHERE due_at IS NOT NULL;
