#ifndef PARLEY_INSIDE_H
#define PARLEY_INSIDE_H

/*
 * How one of our programs shows pushd that it is one: by what follows from the
 * internal key, so that whoever sits in pushd's place learns nothing by it.
 */

#define INSIDE_SIZE 65 /* hexadecimal digits and a NUL */

/*
 * inside_word(key, what, out):
 * The word that opens ${what}; "" if there is no key.
 */
void inside_word(const char *key, const char *what, char out[INSIDE_SIZE]);

#endif
