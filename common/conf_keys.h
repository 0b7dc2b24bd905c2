/*
 * The settings of parley.conf, one line each; included several times with
 * another K, so no include guard.
 *
 *	K(name, type, default, min, max, scope, secret, help)
 *
 * type  STR text, min..max bytes; PATH a file or folder, relative to the folder
 *       of parley.conf; NUM a whole number min..max; BOOL on|off; WORD one of
 *       the words that ${help} begins with, as `a|b|c: text`.
 * scope who keeps it: F the FastCGI programs, worker and parley; P pushd.
 *       A program forgets what is not for it.
 * secret 1: never shown, wiped by conf_free.
 * A number's unit ends its name; *_rate_max is per second.
 */

/* clang-format off */
/* Where things are. */
K(base_url,		STR,	"", 0, 500, F|P, 0, "public address, https://chat.example.com, without a path; empty: as the browser asks")
K(base_path,		STR,	"", 0, 200, F|P, 0, "path in front of every address of ours, /chat on a shared host; empty: none")
K(state_dir,		PATH,	".", 1, 4096, F|P, 0, "folder of everything below")
K(db,			PATH,	"parley.db", 1, 4096, F, 0, "database file")
K(run_dir,		PATH,	"run", 1, 4096, F|P, 0, "sockets, pid files, shared maps")
K(log_dir,		PATH,	"log", 1, 4096, F|P, 0, "log files")
K(media_dir,		PATH,	"media", 1, 4096, F, 0, "uploaded files")
K(www_dir,		PATH,	"../www", 1, 4096, F, 0, "pages' templates, languages, scripts")
K(hint_socket,		PATH,	"run/hint.sock", 1, 107, F|P, 0, "where pushd takes events")
K(api_socket,		PATH,	"run/api.sock", 1, 107, F, 0, "pool behind the web server: REST")
K(poll_socket,		PATH,	"run/poll.sock", 1, 107, F, 0, "pool behind the web server: polling")
K(pages_socket,		PATH,	"run/pages.sock", 1, 107, F, 0, "pool behind the web server: pages")
K(webhook_socket,	PATH,	"run/webhook.sock", 1, 107, F, 0, "pool behind the web server: platform webhooks")
K(media_socket,		PATH,	"run/media.sock", 1, 107, F, 0, "pool behind the web server: files up and down")
K(push_api_socket,	PATH,	"run/push-api.sock", 1, 107, F|P, 0, "pool behind pushd: REST and internal calls")
K(push_listen,		STR,	"run/pushd.sock", 1, 200, F|P, 0, "where pushd listens: HOST:PORT or a path (relative to state_dir)")
K(push_user,		STR,	"", 0, 64, P, 0, "whom pushd becomes when root starts it; empty: the owner of run_dir, or nobody where that is root")
K(push_daemon,		BOOL,	"on", 0, 0, F, 0, "off: there is no pushd, as on a shared host, and /health does not miss it; browsers poll")
K(presence_quiet_s,	NUM,	"150", 2, 86400, F, 0, "without pushd: who polls or loads nothing for so long is offline; a hidden page polls once a minute")

/* Processes. */
K(api_pool,		NUM,	"2", 1, 64, F, 0, "processes of api.fcgi for the web server")
K(poll_pool,		NUM,	"1", 1, 64, F, 0, "processes of poll.fcgi")
K(pages_pool,		NUM,	"1", 1, 64, F, 0, "processes of pages.fcgi")
K(webhook_pool,		NUM,	"1", 1, 64, F, 0, "processes of webhook.fcgi")
K(media_pool,		NUM,	"4", 1, 64, F, 0, "processes of media.fcgi: so many files go up or down at once")
K(push_pool,		NUM,	"2", 1, 64, F|P, 0, "processes of api.fcgi for pushd, and connections it keeps")
K(log_level,		WORD,	"info", 0, 0, F|P, 0, "error|warn|info|debug: how much goes to the log")
K(locale,		WORD,	"vi", 0, 0, F|P, 0, "vi|th|en: language where the asker states none")
K(page_refresh_s,	NUM,	"5", 2, 3600, F, 0, "pages without a script load themselves again after this, where nothing happens after up to 12 times as long")
K(zone_minutes,		NUM,	"420", -720, 840, F, 0, "minutes east of UTC of the times in pages without a script")
K(synchronous,		WORD,	"full", 0, 0, F, 0, "full|normal: full survives power loss, normal is faster")

/* Keys. */
K(jwt_key,		STR,	"", 0, 1024, F, 1, "signs tokens and sessions; 32 bytes or more")
K(internal_key,		STR,	"", 0, 256, F|P, 1, "shared by pushd and the FastCGI programs")
K(proxy_secret,		STR,	"", 0, 256, F|P, 1, "value of X-Parley-Proxy that our front end sets")
K(integrator_key,	STR,	"", 0, 1024, F, 1, "verifies tokens that an integrator's server issues; 32 bytes or more; empty: none")
K(integrator_role,	WORD,	"agent", 0, 0, F, 0, "agent|admin: role of those tokens' users")
K(integrator_audience,	STR,	"", 0, 200, F, 0, "value their aud must have; empty: not checked")

/* Who may reach us. */
K(url_tokens,		BOOL,	"off", 0, 0, F|P, 0, "take ?token= and ?session= in addresses, for old clients")
K(allow_http,		BOOL,	"off", 0, 0, F|P, 0, "session cookies over plain HTTP from hosts other than loopback")
K(cors_origins,		STR,	"", 0, 8192, F|P, 0, "origins of other sites' pages that may call us, or *")
K(trusted_proxies,	STR,	"", 0, 4096, F|P, 0, "addresses or networks whose X-Forwarded-For counts")
K(metrics_addresses,	STR,	"127.0.0.1,::1", 0, 4096, F|P, 0, "who may read /metrics and details of /health")
K(limits,		BOOL,	"on", 0, 0, F|P, 0, "off lifts rate and connection limits for loopback peers, for load tests")

/* Sending to platforms (worker). */
K(worker_daemon,		BOOL,	"on", 0, 0, F, 0, "off: no worker runs, as on a shared host; the programs start it for a moment when there is something to send or keep")
K(worker_every_s,	NUM,	"2", 1, 60, F, 0, "such a worker stays so long after the last thing it did, and is started no more often")
K(worker_jobs_max,	NUM,	"64", 1, 256, F, 0, "requests to platforms at once; each account has its platform's own limit below it")
K(worker_poll_ms,	NUM,	"200", 10, 60000, F, 0, "how often the worker looks for something to send")
K(platform_connect_ms,	NUM,	"5000", 100, 60000, F, 0, "to reach a platform: name, connect, TLS")
K(platform_total_ms,	NUM,	"15000", 500, 120000, F, 0, "one whole exchange with a platform")
K(platform_bytes_max,	NUM,	"1048576", 4096, 16777216, F, 0, "a platform's answer")
K(delivery_lease_ms,	NUM,	"90000", 1000, 600000, F, 0, "a worker that says nothing for so long is taken for dead; above two exchanges")
K(echo_wait_s,		NUM,	"20", 0, 600, F, 0, "an echo may still settle a message whose answer was lost")
K(backoff_percent,	NUM,	"100", 0, 1000, F, 0, "pauses between tries (1 s, 5 s, 30 s, 2 min, 10 min; of outgoing webhooks 5 s to 1 h) in percent")

/* Outgoing webhooks. */
K(hooks_max,		NUM,	"20", 0, 1000, F, 0, "outgoing webhooks that there may be")
K(hook_at_once,		NUM,	"8", 1, 32, F, 0, "requests to one of them at once; events of one conversation go one after the other")
K(hook_rate_max,		NUM,	"50", 1, 10000, F, 0, "requests to one receiver, whatever webhooks lead there")
K(hook_total_ms,	NUM,	"10000", 100, 120000, F, 0, "one whole exchange with its receiver")
K(hook_failing_s,	NUM,	"86400", 1, 2592000, F, 0, "one that only fails for so long is switched off; an event that fails for so long is given up")
K(hook_wait_max,	NUM,	"10000", 10, 1000000, F, 0, "events that wait for one; those beyond wait in the log")

/* Bots. */
K(bot_jobs_max,		NUM,	"16", 1, 256, F, 0, "questions to bots' endpoints at once")
K(bot_total_ms,		NUM,	"60000", 1000, 600000, F, 0, "one question to a bot's endpoint, answer included")
K(bot_lease_ms,		NUM,	"15000", 100, 600000, F, 0, "a worker that says nothing for so long after bot_total_ms is taken for dead")
K(bot_later_s,		NUM,	"300", 1, 604800, F, 0, "a bot that answers later must do so in this time, or the conversation is handed over")
K(bot_bytes_max,	NUM,	"262144", 4096, 16777216, F, 0, "answer of a bot's endpoint")
K(bot_hour_answers_max,	NUM,	"60", 1, 100000, F, 0, "answers of a bot in one conversation in an hour, then it hands over: the other side may be a bot too")
K(chat_wait_ms,		NUM,	"25000", 0, 55000, F, 0, "POST /chat waits so long for a bot's endpoint, then 202")
K(chat_waits_max,	NUM,	"4", 0, 64, F, 0, "of them that wait at once, and never all processes of api.fcgi; the others get 202 at once")

/* The event log. */
K(retention_days,	NUM,	"7", 1, 3650, F, 0, "an event is kept while younger than this")
K(retention_events,	NUM,	"10000", 100, 100000000, F, 0, "and while among this many newest")

/* Request head (pushd) and FastCGI parameters. */
K(head_bytes_max,	NUM,	"16384", 1024, 65536, P, 0, "request head")
K(header_bytes_max,	NUM,	"8192", 512, 65536, F|P, 0, "one header")
K(headers_max,		NUM,	"100", 10, 1000, F|P, 0, "headers of a request")
K(url_bytes_max,	NUM,	"4096", 256, 16384, F|P, 0, "URL")
K(params_bytes_max,	NUM,	"65536", 4096, 1048576, F, 0, "FastCGI parameters of a request")
K(param_name_bytes_max,	NUM,	"256", 32, 4096, F, 0, "name of one parameter")

/* Bodies. */
K(json_bytes_max,	NUM,	"262144", 1024, 16777216, F|P, 0, "JSON body")
K(json_depth_max,	NUM,	"32", 4, 100, F|P, 0, "nesting of a JSON body")
K(json_members_max,	NUM,	"10000", 100, 1000000, F|P, 0, "members and items of a JSON body in all")
K(json_string_bytes_max, NUM,	"65536", 1024, 1048576, F|P, 0, "one string of a JSON body")
K(form_bytes_max,	NUM,	"1048576", 1024, 16777216, F, 0, "form body")
K(form_fields_max,	NUM,	"2000", 10, 10000, F, 0, "fields of a form")
K(webhook_bytes_max,	NUM,	"4194304", 1024, 16777216, F, 0, "webhook body")
K(webhook_entries_max,	NUM,	"1000", 1, 10000, F, 0, "entries in a webhook body, of eight messages, files or receipts each on the whole; the rest is skipped")
K(webhook_wait_ms_max,	NUM,	"400", 10, 10000, F, 0, "a webhook that waited so long, to be taken and for the database, is told to come again")
K(webhook_rate_max,	NUM,	"200", 1, 100000, F, 0, "webhooks of one channel")
K(webhook_failures_per_min_max, NUM, "60", 1, 100000, F, 0, "webhooks without proof from an address (/64) in a minute, then 429")

/* Contents. */
K(message_chars_max,	NUM,	"10000", 1, 100000, F|P, 0, "characters of a message")
K(message_bytes_max,	NUM,	"40000", 4, 400000, F|P, 0, "bytes of a message")
K(client_id_bytes_max,	NUM,	"128", 16, 256, F|P, 0, "client_id, Idempotency-Key")
K(cursor_bytes_max,	NUM,	"32", 16, 64, F|P, 0, "cursor")
K(name_chars_max,	NUM,	"200", 10, 1000, F, 0, "name, subject, tag, attribute key")
K(value_chars_max,	NUM,	"2000", 10, 20000, F, 0, "attribute value, notes")
K(attributes_max,	NUM,	"50", 1, 1000, F, 0, "attributes of a customer; tags of a thing")
K(page_items_max,	NUM,	"200", 10, 1000, F, 0, "items of a list's page")

/* Files. */
K(file_bytes_max,	NUM,	"26214400", 1024, 1073741824, F, 0, "one file")
K(message_files_max,	NUM,	"10", 1, 100, F, 0, "files of a message")
K(customer_day_bytes_max, NUM,	"209715200", 1024, 107374182400, F, 0, "files of a customer in a day")
K(magic_file,		PATH,	"", 0, 4096, F, 0, "libmagic's table of what files look like, magic.mgc; empty: the system's")
K(media_bytes_max,	NUM,	"0", 0, 1125899906842624, F, 0, "files of the installation; 0: as the disk has")
K(image_pixels_max,	NUM,	"50000000", 10000, 1000000000, F, 0, "pixels of an image by its header")
K(upload_free_percent_min, NUM,	"5", 0, 90, F, 0, "no uploads with less of the disk free")
K(upload_free_bytes_min, NUM,	"67108864", 0, 1099511627776, F, 0, "no uploads with less free")
K(upload_keep_s,	NUM,	"86400", 60, 31536000, F, 0, "an upload that no message uses is kept so long")
K(stream_bytes_per_s_min, NUM,	"8192", 1, 1073741824, F, 0, "who sends or takes a file slower than this, on the whole, is cut off")
K(media_link_life_s,	NUM,	"86400", 60, 31536000, F, 0, "an address that lets a platform fetch a file of ours")
K(fetches_max,		NUM,	"4", 1, 64, F, 0, "customers' files the worker fetches at once")
K(fetch_total_ms,	NUM,	"30000", 500, 600000, F, 0, "fetching one of them")
K(fetch_stall_s,	NUM,	"5", 1, 600, F, 0, "without a byte")
K(fetch_redirects_max,	NUM,	"3", 0, 10, F, 0, "redirects followed")
K(fetch_tries_max,	NUM,	"5", 1, 5, F, 0, "tries, then the file is given up")
K(fetch_http,		BOOL,	"off", 0, 0, F, 0, "fetch from http:// too: files, bots, webhooks; a custom channel on this host needs fetch_networks alone")
K(fetch_ports,		STR,	"80,443", 1, 200, F, 0, "ports fetched from")
K(fetch_networks,	STR,	"", 0, 4096, F, 0, "addresses or networks of this house that may be asked, at any port: for files, as bots, webhooks or programs of one's own; for tests: 127.0.0.1")
K(write_free_bytes_min,	NUM,	"16777216", 0, 1099511627776, F, 0, "no writes with less free")

/* Log-in and sessions. */
K(login_account_failures_max, NUM, "5", 1, 1000, F, 0, "wrong passwords of an account in login_window_s, then delays")
K(login_address_failures_max, NUM, "20", 1, 10000, F, 0, "wrong passwords from an address (/64) in login_window_s, then delays")
K(login_window_s,	NUM,	"900", 10, 86400, F, 0, "time in which they are counted")
K(login_delay_s_max,	NUM,	"60", 1, 3600, F, 0, "longest delay; it doubles from 1 s")
K(hash_jobs_max,	NUM,	"2", 1, 16, F, 0, "passwords hashed at once on this host")
K(hash_wait_ms_max,	NUM,	"2000", 0, 30000, F, 0, "wait for a turn to hash, then 503")
K(session_idle_s,	NUM,	"43200", 60, 31536000, F, 0, "an agent's session ends unused")
K(session_life_s,	NUM,	"2592000", 60, 31536000, F, 0, "a session ends whatever happens")
K(token_life_s,		NUM,	"3600", 60, 2592000, F, 0, "an agent's token")
K(resume_life_s,	NUM,	"2592000", 60, 31536000, F, 0, "a visitor's resume link")

/* Rates, token buckets. */
K(user_message_rate_max, NUM,	"20", 1, 100000, F|P, 0, "messages of a user")
K(user_message_burst_max, NUM,	"40", 1, 100000, F|P, 0, "at once")
K(conversation_message_rate_max, NUM, "50", 1, 100000, F, 0, "messages of a conversation")
K(conversation_new_per_min_max, NUM, "10", 1, 100000, F, 0, "new conversations from an address in a minute")
K(typing_rate_max,	NUM,	"1", 1, 1000, F|P, 0, "typing signals per conversation and person")
K(presence_rate_max,	NUM,	"1", 1, 1000, F|P, 0, "presence changes of a person")
K(credential_request_rate_max, NUM, "50", 1, 1000000, F|P, 0, "requests of a credential")
K(credential_request_burst_max, NUM, "100", 1, 1000000, F|P, 0, "at once")
K(address_request_rate_max, NUM, "20", 1, 1000000, F|P, 0, "requests of an address without credential")
K(address_request_burst_max, NUM, "40", 1, 1000000, F|P, 0, "at once")

/* Held connections (pushd). */
K(address_connections_max, NUM,	"100", 1, 1000000, P, 0, "connections of an address")
K(account_connections_max, NUM,	"20", 1, 1000000, P, 0, "connections of an account; the oldest idle one goes")
K(connections_max,	NUM,	"20000", 10, 1000000, P, 0, "connections in all, as descriptors allow")
K(descriptors_spare,	NUM,	"64", 8, 10000, P, 0, "descriptors kept for the API side")
K(login_wait_s,		NUM,	"10", 1, 600, P, 0, "a socket must say who it is")
K(ws_message_bytes_max,	NUM,	"1048576", 1024, 16777216, P, 0, "one WebSocket message")
K(ws_fragments_max,	NUM,	"1024", 1, 100000, P, 0, "fragments of one message")
K(ws_ping_rate_max,	NUM,	"10", 1, 1000, P, 0, "pings of a client")
K(socket_rooms_max,	NUM,	"200", 1, 10000, P, 0, "conversations joined on a socket")
K(socket_acks_max,	NUM,	"16", 1, 1000, P, 0, "unanswered requests of a socket")
K(socket_attachments_max, NUM,	"10", 0, 100, P, 0, "binary attachments of a Socket.IO packet")
K(queue_bytes_max,	NUM,	"1048576", 4096, 67108864, P, 0, "queued for one reader")
K(unsent_bytes_max,	NUM,	"8192", 4096, 67108864, P, 0, "of them given to the kernel before it can send them, and a segment")
K(progress_s_max,	NUM,	"30", 1, 600, F|P, 0, "no progress while reading or writing")
K(ring_events_max,	NUM,	"10000", 10, 1000000, P, 0, "recent events pushd keeps to answer resumes")
K(keepalive_s,		NUM,	"15", 1, 25, P, 0, "between keep-alives of a stream")
K(ws_ping_s,		NUM,	"30", 1, 45, P, 0, "between pings of a WebSocket")
K(silence_s_max,	NUM,	"90", 5, 3600, P, 0, "a WebSocket that says nothing and answers no ping is dropped")
K(stream_life_s,	NUM,	"600", 1, 86400, P, 0, "a held stream ends after this and up to half as much again")
K(longpoll_s_max,	NUM,	"25", 1, 25, P, 0, "a long poll with nothing new is answered after this")
K(presence_grace_ms,	NUM,	"5000", 0, 600000, P, 0, "after the last connection's end, before offline; 12 times as long for who was here when pushd ended and does not come back")
K(typing_ms,		NUM,	"3000", 100, 60000, F|P, 0, "a typing signal ends by itself")
K(identity_s,		NUM,	"60", 1, 60, P, 0, "an identity is asked for again")
K(backfill_ms,		NUM,	"1000", 50, 60000, P, 0, "silence after which pushd asks for what it missed")
K(drain_s,		NUM,	"5", 0, 600, P, 0, "over which clients are told to come back when pushd ends")
K(ping_interval_ms,	NUM,	"25000", 100, 300000, P, 0, "Socket.IO pingInterval")
K(ping_timeout_ms,	NUM,	"60000", 100, 300000, P, 0, "Socket.IO pingTimeout")
K(socket_payload_bytes_max, NUM, "1000000", 1024, 16777216, P, 0, "Socket.IO maxPayload: a message, or a request's body of them")
K(socket_connect_s,	NUM,	"45", 1, 600, P, 0, "a Socket.IO client must send CONNECT")
K(socket_recovery_s,	NUM,	"120", 0, 3600, P, 0, "a Socket.IO client that broke off may come back so late as if nothing had been")
K(socket_recoveries_max, NUM,	"10000", 1, 1000000, P, 0, "those that broke off and are remembered")
K(socket_upgrade_s,	NUM,	"10", 1, 600, P, 0, "a Socket.IO client's change from polling to WebSocket")
/* clang-format on */
