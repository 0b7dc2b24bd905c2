#ifndef PARLEY_HEX_H
#define PARLEY_HEX_H

/* hex_digit(c): the value of a hex digit of either case, or -1. */
static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
