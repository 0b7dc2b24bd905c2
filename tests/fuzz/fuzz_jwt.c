/* jwt.c: header and claims under a right signature, and raw bytes. */

#include "jwt.h"
#include "token.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char key[] = "0123456789abcdef0123456789abcdef";
	unsigned char mac[TOKEN_MAC_BYTES];
	char text[JWT_BYTES_MAX];
	struct jwt j;
	const uint8_t *cut;
	size_t n, head;

	(void)jwt_verify(key, 32, (const char *)data, size, 1000, &j);
	assert(j.user[0] == '\0');
	/* Header and claims parted by a NUL, signed as they should be. */
	if (size > 2000)
		return 0;
	cut = size > 0 ? memchr(data, '\0', size) : NULL;
	head = cut != NULL ? (size_t)(cut - data) : 0;
	n = token_b64(data, head, text);
	text[n++] = '.';
	if (cut != NULL)
		n += token_b64(cut + 1, size - head - 1, text + n);
	token_hmac(key, 32, text, n, mac);
	text[n++] = '.';
	n += token_b64(mac, sizeof(mac), text + n);
	if (jwt_verify(key, 32, text, n, 1000, &j) == 0)
		assert(j.user[0] != '\0' && j.exp > 0);
	return 0;
}
