/* req.c: forms and queries. */
#include "fields_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_fields(data, size, req_parse_form);
	return 0;
}
