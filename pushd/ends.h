#ifndef PARLEY_ENDS_H
#define PARLEY_ENDS_H

/* Why connections ended, counted by a few words that stay the same. */

#include <stdint.h>

enum { ENDS = 16 };

struct ends {
	uint64_t n[ENDS];
};

/* ends_count(e, why): one more, for the reason that logs and peers are told. */
void ends_count(struct ends *e, const char *why);

/* ends_name(i): of ${e}->n[i]; NULL past the last. */
const char *ends_name(unsigned i);

#endif
