/* Words that only who has the internal key can say. */

#include "inside.h"

#include <sodium.h>
#include <string.h>

void
inside_word(const char *key, const char *what, char out[INSIDE_SIZE])
{
	unsigned char hash[(INSIDE_SIZE - 1) / 2];
	crypto_generichash_state st;

	out[0] = '\0';
	if (key[0] == '\0')
		return;
	(void)crypto_generichash_init(&st, NULL, 0, sizeof(hash));
	(void)crypto_generichash_update(
	    &st, (const unsigned char *)key, strlen(key) + 1);
	(void)crypto_generichash_update(
	    &st, (const unsigned char *)what, strlen(what));
	(void)crypto_generichash_final(&st, hash, sizeof(hash));
	(void)sodium_bin2hex(out, INSIDE_SIZE, hash, sizeof(hash));
	sodium_memzero(&st, sizeof(st));
}
