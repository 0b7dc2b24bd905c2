/* req.c: the path of a URI; no segment that climbs or hides. */

#include "limits.h"
#include "req.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *segments[PATH_SEGMENTS_MAX], *buf = malloc(size + 2);
	int i, n;

	if (buf == NULL)
		return 0;
	n = req_parse_path(
	    (const char *)data, size, buf, segments, PATH_SEGMENTS_MAX);
	for (i = 0; i < n; i++) {
		assert(segments[i][0] != '\0');
		assert(strchr(segments[i], '/') == NULL);
		assert(strcmp(segments[i], "..") != 0);
		assert(strcmp(segments[i], ".") != 0);
	}
	free(buf);
	return 0;
}
