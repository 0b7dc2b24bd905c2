/*
 * What a demo workspace begins with: an admin, two agents, and customers who
 * write in Vietnamese, Thai and English.  Passwords are made at random, shown
 * once and kept in demo.txt, for `parley run` to show again.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parley.h"
#include "store.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_message.h"
#include "store_read.h"
#include "store_user.h"
#include "token.h"
#include "who.h"

#define MINUTE INT64_C(60000)

struct person {
	const char *email, *name, *locale;
	bool admin;
};

static const struct person people[] = {
	{ "admin@example.com", "Nguyễn Thu Hà", "vi", true },
	{ "mai@example.com", "Trần Thị Mai", "vi", false },
	{ "somchai@example.com", "Somchai Jaidee", "th", false },
};
#define PEOPLE (sizeof(people) / sizeof(*people))

/* A line of a talk: ${by} is 0 for the customer, else a person's number. */
struct line {
	int by;
	bool note;
	const char *text;
};

struct talk {
	const char *name, *locale, *email, *phone;
	const char *subject, *tag, *status;
	int assignee;         /* number of a person, 0: nobody */
	int minutes_ago;      /* when it began */
	struct line lines[9]; /* up to one without text */
};

/* clang-format off */
static const struct talk talks[] = {
	{ "Lê Văn Nam", "vi", "nam.le@example.com", "+84901234567",
	  "Đơn hàng giao trễ", "đơn hàng", NULL, 2, 2890, {
		{ 0, false, "Chào shop, đơn hàng số 1042 của mình đặt hôm thứ Hai mà vẫn chưa thấy giao ạ." },
		{ 2, false, "Dạ em chào anh Nam! Em kiểm tra đơn 1042 ngay đây ạ, anh chờ em một chút nhé." },
		{ 2, true,  "Kho báo đơn này bị sót, đã xin giao bù trong ngày." },
		{ 2, false, "Đơn của anh đang ở kho Bình Thạnh và sẽ được giao trước 18 giờ hôm nay ạ. Bên em xin lỗi vì sự chậm trễ này." },
		{ 0, false, "OK em, cảm ơn em nhiều nhé." },
	} },
	{ "สมหญิง ใจดี", "th", "somying@example.com", NULL,
	  "สอบถามขนาดเสื้อ", NULL, NULL, 3, 185, {
		{ 0, false, "สวัสดีค่ะ เสื้อเชิ้ตลินินสีขาวมีไซซ์ L เหลือไหมคะ" },
		{ 3, false, "สวัสดีครับ ไซซ์ L ยังมีอยู่ 4 ตัวครับ ต้องการให้เก็บไว้ให้ไหมครับ" },
		{ 0, false, "เก็บไว้ให้หนึ่งตัวนะคะ ส่งไปเชียงใหม่ใช้เวลากี่วันคะ" },
		{ 3, false, "ประมาณ 2–3 วันครับ ค่าส่งฟรีเมื่อซื้อครบ 800 บาท" },
	} },
	{ "Emma Wilson", "en", "emma.wilson@example.com", NULL,
	  "Exchange for another colour", "returns", NULL, 0, 42, {
		{ 0, false, "Hi! I ordered the canvas bag in green but I'd rather have the navy one. It hasn't shipped yet, I think?" },
		{ 0, false, "Order 1057, under this email address." },
	} },
	{ "Phạm Thị Lan", "vi", NULL, "+84912345678",
	  NULL, NULL, NULL, 0, 9, {
		{ 0, false, "Shop ơi, túi vải canvas còn màu xanh navy không ạ?" },
	} },
	{ "James Tan", "en", "james.tan@example.com", NULL,
	  "Invoice for order 998", "billing", "closed", 1, 4400, {
		{ 0, false, "Could you send me a VAT invoice for order 998?" },
		{ 1, false, "Of course. I've sent it to your email address just now. Is there anything else I can help with?" },
		{ 0, false, "Got it, thank you!" },
	} },
};
/* clang-format on */
#define TALKS (sizeof(talks) / sizeof(*talks))

static int
add_people(const struct conf *cf, struct store *st, int64_t *ids, FILE *out)
{
	char password[17];
	struct user u;
	size_t i;

	for (i = 0; i < PEOPLE; i++) {
		memset(&u, 0, sizeof(u));
		parley_password(password, sizeof(password));
		if (password_hash(cf, password, strlen(password), u.password) ==
		    -1)
			return -1;
		snprintf(u.email, sizeof(u.email), "%s", people[i].email);
		snprintf(u.name, sizeof(u.name), "%s", people[i].name);
		snprintf(u.locale, sizeof(u.locale), "%s", people[i].locale);
		u.admin = people[i].admin;
		if (store_user_add(st, &u) != STORE_DONE)
			return -1;
		ids[i] = u.id;
		fprintf(out, "  %s  %-20s  password %s\n",
		    u.admin ? "admin" : "agent", u.email, password);
	}
	return 0;
}

static void
person_who(struct who *who, const int64_t *ids, int number)
{
	memset(who, 0, sizeof(*who));
	who->kind = WHO_USER;
	who->id = ids[number - 1];
	who->admin = people[number - 1].admin;
	who->confirmed = true;
	snprintf(who->name, sizeof(who->name), "%s", people[number - 1].name);
}

static int
add_line(struct store *st, const int64_t *ids, int64_t conversation,
    int64_t customer, const struct line *l)
{
	struct message m = { .conversation = conversation, .content = l->text };
	struct who who;
	int rc;

	m.content_len = strlen(l->text);
	m.note = l->note;
	if (l->by != 0) {
		person_who(&who, ids, l->by);
	} else {
		m.sender_kind = "customer";
		m.sender_id = customer;
		m.incoming = true;
	}
	rc = store_message_add(st, l->by != 0 ? &who : NULL, &m);
	message_fini(&m);
	return rc == STORE_DONE ? 0 : -1;
}

/* Status, tag and who cares for it, as the assignee or the admin sets them. */
static int
settle(struct store *st, const int64_t *ids, int64_t conversation,
    const struct talk *t)
{
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct who who;
	int rc;

	if (t->assignee == 0 && t->tag == NULL && t->status == NULL)
		return 0;
	person_who(&who, ids, t->assignee != 0 ? t->assignee : 1);
	if (t->assignee != 0)
		p.assignee = ids[t->assignee - 1];
	p.status = t->status;
	if (t->tag != NULL) {
		p.tags = json_object_new_array();
		json_object_array_add(p.tags, json_object_new_string(t->tag));
	}
	rc = store_conversation_patch(st, &who, conversation, &p);
	if (rc == STORE_DONE && t->assignee != 0)
		rc = store_read_mark(st, &who, conversation, 0);
	json_object_put(p.tags);
	return rc == STORE_DONE || rc == STORE_REPEATED ? 0 : -1;
}

static int
add_talk(struct store *st, const int64_t *ids, int64_t channel,
    const struct talk *t, int64_t now)
{
	struct customer_patch p = { .name = t->name,
		.phone = t->phone,
		.email = t->email,
		.locale = t->locale };
	int64_t customer, conversation, at = now - t->minutes_ago * MINUTE;
	size_t i;

	store_set_now(st, at);
	if (store_customer_add(st, NULL, &p, &customer) != STORE_DONE ||
	    store_conversation_customer(st, NULL, customer, channel, t->subject,
		&conversation) != STORE_DONE)
		return -1;
	for (i = 0; t->lines[i].text != NULL; i++) {
		store_set_now(st, at + (int64_t)i * 3 * MINUTE);
		if (add_line(st, ids, conversation, customer, &t->lines[i]) ==
		    -1)
			return -1;
	}
	return settle(st, ids, conversation, t);
}

static int
older(const void *a, const void *b)
{
	const struct talk *x = a, *y = b;

	return y->minutes_ago - x->minutes_ago;
}

/* All of it, in the order in which it happened. */
static int
fill(const struct conf *cf, struct store *st, FILE *out)
{
	struct talk sorted[TALKS];
	int64_t ids[PEOPLE], channel, now = clock_now_ms();
	size_t i;

	if (store_channel_first(st, "web", &channel) != STORE_DONE ||
	    add_people(cf, st, ids, out) == -1)
		return -1;
	memcpy(sorted, talks, sizeof(talks));
	qsort(sorted, TALKS, sizeof(*sorted), older);
	for (i = 0; i < TALKS; i++)
		if (add_talk(st, ids, channel, &sorted[i], now) == -1)
			return -1;
	return 0;
}

/* The log-ins to demo.txt and to standard output. */
static int
keep(const struct conf *cf, const char *text)
{
	char path[PARLEY_PATH_MAX];
	size_t len = strlen(text);
	int fd, rc;

	if (parley_path(path, sizeof(path), "%s/" PARLEY_DEMO_FILE,
		cf->state_dir) == -1)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1) {
		parley_err("%s: %s", path, strerror(errno));
		return -1;
	}
	rc = write(fd, text, len) == (ssize_t)len ? 0 : -1;
	if (close(fd) == -1)
		rc = -1;
	if (rc == 0)
		fputs(text, stdout);
	return rc;
}

int
parley_demo_fill(const struct conf *cf, struct store *st)
{
	char *text = NULL;
	size_t len = 0;
	int64_t users;
	FILE *out;
	int rc;

	if (store_user_count(st, &users) != STORE_DONE)
		return -1;
	if (users > 0)
		return 0; /* somebody works here */
	if ((out = open_memstream(&text, &len)) == NULL)
		return -1;
	if (store_begin(st) == STORE_FAILED) {
		rc = -1;
	} else {
		rc = fill(cf, st, out);
		if (store_end(st, rc == 0 ? STORE_DONE : STORE_NONE) !=
		    STORE_DONE)
			rc = -1;
	}
	store_set_now(st, 0);
	if (fclose(out) != 0)
		rc = -1;
	if (rc == 0)
		rc = keep(cf, text);
	free(text);
	return rc;
}
