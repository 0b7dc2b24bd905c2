#ifndef STORE_USER_H
#define STORE_USER_H

#include "store.h"
#include "limits.h"

/* Users (agents and admins). */

/* What logging in and acting need.  Texts are whole: the limits bound them. */
struct user {
	int64_t id;
	char email[EMAIL_BYTES_MAX + 1];
	char name[NAME_BYTES_MAX];
	bool admin;
	bool disabled;
	char locale[16];
	char password[160]; /* Argon2id string, "" if none; clear after use */
};

/*
 * store_user_by_id(st, id, u) / store_user_by_email(st, email, u):
 * Fill ${u}; disabled ones are found too.
 */
int store_user_by_id(struct store *st, int64_t id, struct user *u);
int store_user_by_email(struct store *st, const char *email, struct user *u);

/*
 * store_user_add(st, u): ${u}->id is set.  STORE_REFUSED: the email is taken.
 * store_user_password(st, id, hash): sessions stay; end them beside it.
 */
int store_user_add(struct store *st, struct user *u);
int store_user_password(struct store *st, int64_t id, const char *hash);

/* A change; members that are NULL or -1 stay. */
struct user_patch {
	const char *name, *email, *locale, *avatar_url;
	int admin;    /* -1, 0, 1 */
	int disabled; /* -1, 0, 1 */
};
/*
 * store_user_patch(st, id, p): a change of role or disabling ends the user's
 * sessions in the same transaction.  The last admin that is not disabled
 * stays one: STORE_REFUSED.
 */
int store_user_patch(struct store *st, int64_t id, const struct user_patch *p);

/*
 * store_user_json(st, who, id, out) / store_users(st, who, pg, out):
 * All of it but secrets; a customer gets {id, name, avatar_url} only.  The list
 * is by id, pg->after.
 */
int store_user_json(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);
int store_users(struct store *st, const struct who *who,
    const struct store_page *pg, struct json_object **out);

/* store_user_count(st, n): how many there are. */
int store_user_count(struct store *st, int64_t *n);

#endif
